//! Gondola: electronic shelf label controller.

pub mod catalog;
pub mod journal;
pub mod render;
pub mod storage;
pub mod template;
