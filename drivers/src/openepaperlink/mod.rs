//! OpenEPaperLink: the open hardware that anyone can buy, driven through its radio's serial port in the place of the
//! access point that comes with it. A newcomer's page stands in `drivers/OPENEPAPERLINK.md`.
//!
//! A label wakes when it likes, says so, and is answered by the radio from a table of slots, one for each label, that we
//! fill ahead. It fetches what it is offered in blocks, which we must hand over at once; says that it has it; and then
//! draws it. So the decisions here are what stands in which slot, and when.
//!
//! | module | what it holds |
//! |---|---|
//! | [`head`] | [`RadioHead`], one radio as the controller sees it |
//! | [`line`] | opening, speeds, batches of commands and their answers |
//! | [`reader`], [`wire`] | what is said on the line |
//! | [`label_type`] | the types of labels, as data |
//! | [`payload`], [`group5`] | pictures as labels fetch them |
//! | [`packing`] | the work of making them so, done by whoever owns the head |
//! | [`order`] | what labels are told beside |
//!
//! # What is proven
//!
//! A label's word that it has a picture is worth little: some say so of pictures that they threw away, and none says
//! that it has drawn one. So the word makes a picture *delivered*. It is *proven* once the label is offered the same
//! picture again and says that it has it, without fetching it, after it had fetched it from us. A label that says so
//! without ever having fetched it is offered the picture in another form, which it cannot have.

pub mod group5;
pub mod head;
mod known;
pub mod label_type;
pub mod line;
pub mod order;
pub mod packing;
pub mod payload;
pub mod reader;
mod squeeze;
#[cfg(test)]
mod tests;
mod turns;
pub mod wire;

pub use head::{RadioHead, RadioOptions};
pub use label_type::{LabelType, LabelTypes};
