//! What a document says, typed: network-config version 2, and version 1 made into it. It knows neither machine nor renderer.

pub(crate) mod address;
pub(crate) mod backend;
pub(crate) mod config;
pub(crate) mod contradiction;
pub(crate) mod desired;
pub(crate) mod device;
pub(crate) mod hidden;
pub(crate) mod merge;
pub(crate) mod name;
pub(crate) mod object;
pub(crate) mod place;
pub(crate) mod push;
pub(crate) mod renderer_key;
pub(crate) mod route;
pub(crate) mod settings;
pub(crate) mod v1;
pub(crate) mod value;
pub(crate) mod virtual_device;
