//! What the fuzz targets check: each module has one `check`, which panics where a law does not hold.
//!
//! A parser is compared with a second one, written to be obviously right instead of fast. The server core is driven
//! through its public calls by a shell that notes what it may still do.

pub mod channels;
pub mod core;
pub mod decoder;
pub mod endpoints;
pub mod ext;
pub mod hybrid;
