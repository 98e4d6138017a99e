//! State on disk beside the journal: the only module that names sled.
//!
//! Everything here can be thrown away. The view is a copy of the core's state for a fast start, with the
//! journal position that it holds; the pictures can be drawn again. What cannot be asked for again is in the
//! journal, so a view that will not open is set aside and made anew, with a warning and without a person.
//!
//! | module | what it holds |
//! |---|---|
//! | [`backup`] | a data directory copied while it is in use, and brought back |
//! | [`lock`] | the data directory, held by one process |
//! | [`view`] | state as key and value, in a few trees, and the journal position it goes up to |
//! | [`writer`] | the thread that writes the view, behind the journal |
//! | [`pictures`] | pictures by digest |

pub mod backup;
pub mod lock;
pub mod pictures;
pub mod view;
pub mod writer;

pub use lock::{DataDir, LockError, store_dir};
pub use pictures::Pictures;
pub use view::{Rows, SetAside, Tree, View, ViewBatch, ViewChange, ViewError, ViewOpened};
pub use writer::{ViewWriteError, ViewWriter};
