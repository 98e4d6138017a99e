//! The world against a controller made by hand from the wire crate alone.

mod controller;
mod radio;
mod served;
mod sessions;
mod shop;
mod version2;
