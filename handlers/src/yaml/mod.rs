//! YAML files: what others wrote is read within limits, what we write can be misread by nobody.
//!
//! A text becomes a tree of [`Node`]s, each with the place where it stands, so that a fault can be named by its
//! line. Errors name the place and no content: such files may hold keys of wireless networks.

mod node;
mod reader;
mod scalar;
mod writer;

pub use node::{Content, Entry, Node, Position};
pub use reader::{YamlError, read};
pub(crate) use writer::write;
