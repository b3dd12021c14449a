//! Analyses and studies as one HTML file.

mod colour;

pub use colour::colour;
