//! What the machine is like: its links, what of them is known, and how its files are read. It knows no renderer.

pub(crate) mod known_names;
pub(crate) mod link;
pub(crate) mod observed;
pub(crate) mod orphan_link;
pub(crate) mod procfs;
pub(crate) mod reading;
pub(crate) mod udev;
