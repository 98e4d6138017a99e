//! Pixels: a scene becomes packed planes.
