//! Name servers of version 1: of one device, or of all.

use std::net::IpAddr;

use serde_json::Value;

use super::super::object::Object;
use super::super::place::Place;
use super::super::value::keyword;
use super::scalar::{addresses, domains, text_at};
use crate::Refusal;

/// One entry of name servers.
#[derive(Debug)]
pub(super) struct Nameserver {
    pub(super) servers: Vec<IpAddr>,
    pub(super) search: Vec<String>,
    /// The one device that it is for.
    pub(super) interface: Option<(String, Place)>,
    pub(super) place: Place,
}

impl Nameserver {
    /// Parses the entry at a place.
    pub(super) fn parse(value: &Value, place: &Place) -> Result<Self, Refusal> {
        let mut object = Object::open(value, place)?;
        object.read("type", keyword(&["nameserver"]))?;
        object.read("id", |_, _| Ok(()))?;
        let servers = object.read("address", addresses)?.unwrap_or_default();
        let search = object.read("search", domains)?.unwrap_or_default();
        let interface = object.read("interface", text_at)?;
        object.finish()?;
        if servers.is_empty() && search.is_empty() {
            return Err(place.key("address").lacks("addresses of name servers, or domains in `search`"));
        }
        Ok(Self { servers, search, interface, place: place.clone() })
    }
}
