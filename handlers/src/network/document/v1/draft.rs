//! A device of version 2 in the making.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::super::address::MacAddress;
use super::super::device::Section;
use super::super::object::Object;
use super::super::place::Place;
use super::super::value::LONGEST_LIST;
use super::nameserver::Nameserver;
use super::route::RouteAt;
use super::scalar::{boolean, number};
use super::subnet::{Method, Subnet};
use super::trace::Trace;
use crate::Refusal;

/// Keys that `subnets` decide: a push that has `subnets` replaces them, also by nothing.
const DECIDED_BY_SUBNETS: [&str; 7] =
    ["dhcp4", "dhcp6", "addresses", "gateway4", "gateway6", "routes", "nameservers"];

/// A device.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) section: Section,
    /// What its link is to be called.
    pub(super) name: String,
    /// Its key in the document.
    pub(super) id: String,
    /// The hardware address that the card is found by.
    pub(super) card: Option<MacAddress>,
    /// Where the device stands.
    pub(super) place: Place,
    pub(super) layer: Option<Layer>,
    /// Name servers and domains of entries that name the device.
    servers: Vec<IpAddr>,
    search: Vec<String>,
    keys: Map<String, Value>,
    /// Where each key came from; paths below the device.
    pub(super) notes: Vec<(String, Place, bool)>,
    pub(super) warnings: Vec<String>,
}

/// What `subnets` say, taken together.
#[derive(Debug, Default)]
pub(super) struct Layer {
    dhcp4: Option<Option<u32>>,
    dhcp6: Option<Option<u32>>,
    /// Addresses come of router advertisements.
    hears_routers: bool,
    pub(super) addresses: Vec<(super::super::address::Cidr, Place)>,
    pub(super) routes: Vec<RouteAt>,
    pub(super) servers: Vec<IpAddr>,
    pub(super) search: Vec<String>,
}

impl Draft {
    /// A device of which nothing is said.
    pub(super) fn new(section: Section, name: &str, place: &Place) -> Self {
        Self {
            section,
            name: name.to_owned(),
            id: name.to_owned(),
            card: None,
            place: place.clone(),
            layer: None,
            servers: Vec::new(),
            search: Vec::new(),
            keys: Map::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Sets a key of the device, or with a dot one of a map in it, and notes where it came from.
    pub(super) fn set(&mut self, path: &str, value: impl Into<Value>, place: &Place) {
        self.notes.push((path.to_owned(), place.clone(), false));
        self.put(path, value.into());
    }

    /// As [`Self::set`], for a list that was taken over as it is.
    pub(super) fn set_same(&mut self, path: &str, value: impl Into<Value>, place: &Place) {
        self.notes.push((path.to_owned(), place.clone(), true));
        self.put(path, value.into());
    }

    /// True if a key is set.
    pub(super) fn has(&self, path: &str) -> bool {
        let (map, key) = path.split_once('.').unwrap_or((path, ""));
        let value = self.keys.get(map);
        if key.is_empty() { value.is_some() } else { value.is_some_and(|value| value.get(key).is_some()) }
    }

    /// True if a key is set, and to this.
    pub(super) fn is_at(&self, path: &str, value: &Value) -> bool {
        let (map, key) = path.split_once('.').unwrap_or((path, ""));
        let found = self.keys.get(map);
        let found = if key.is_empty() { found } else { found.and_then(|found| found.get(key)) };
        found == Some(value)
    }

    fn put(&mut self, path: &str, value: Value) {
        match path.split_once('.') {
            None => {
                self.keys.insert(path.to_owned(), value);
            }
            Some((map, key)) => {
                let inner = self.keys.entry(map).or_insert_with(|| Map::new().into());
                inner[key] = value;
            }
        }
    }

    /// Reads what every kind of device may have.
    pub(super) fn read_common(&mut self, object: &mut Object<'_>) -> Result<(), Refusal> {
        for (key, name) in
            [("accept-ra", "accept-ra"), ("accept_ra", "accept-ra"), ("keep_configuration", "critical")]
        {
            if let Some((truth, at)) = object.read(key, |value, at| Ok((boolean(value, at)?, at.clone())))? {
                self.set(name, truth, &at);
            }
        }
        if let Some((mtu, at)) =
            object.read("mtu", |value, at| Ok((number(68..=65535)(value, at)?, at.clone())))?
        {
            self.set("mtu", mtu, &at);
        }
        let subnets =
            object.read("subnets", |value, at| super::super::value::list(value, at, Subnet::parse))?;
        if let Some(subnets) = subnets {
            self.take_subnets(subnets)?;
        }
        Ok(())
    }

    fn take_subnets(&mut self, subnets: Vec<Subnet>) -> Result<(), Refusal> {
        self.take_control(&subnets)?;
        let mut layer = Layer::default();
        for subnet in subnets {
            self.take_mtu(&subnet);
            let metric = subnet.metric.as_ref().map(|(metric, _)| *metric);
            match subnet.method {
                Method::Dhcp4 => layer.dhcp4 = Some(metric.or_else(|| layer.dhcp4.flatten())),
                Method::Dhcp6 => layer.dhcp6 = Some(metric.or_else(|| layer.dhcp6.flatten())),
                Method::Routers => {
                    layer.hears_routers = true;
                    self.take_routers(&subnet);
                }
                Method::Static(address) => {
                    if !layer.addresses.iter().any(|(other, _)| *other == address) {
                        layer.addresses.push((address, subnet.place.key("address")));
                    }
                    if let Some((_, at)) = subnet.metric.filter(|_| subnet.routes.is_empty()) {
                        let path = at.path();
                        let warning = "without a gateway or routes a metric says nothing; it was left out";
                        self.warnings.push(format!("`{path}`: {warning}"));
                    }
                }
                Method::Manual => {}
            }
            for route in subnet.routes {
                layer.add_route(route);
            }
            add_new(&mut layer.servers, subnet.servers);
            add_new(&mut layer.search, subnet.search);
            layer.check_size(&subnet.place)?;
        }
        self.layer = Some(layer);
        Ok(())
    }

    /// What the device itself says of router advertisements stands, also where it makes the subnet one of no addresses.
    fn take_routers(&mut self, subnet: &Subnet) {
        if !self.has("accept-ra") {
            self.set("accept-ra", true, &subnet.place);
        }
        if self.is_at("accept-ra", &false.into()) {
            let path = subnet.place.path();
            self.warnings
                .push(format!("`{path}`: the device has `accept-ra: false`, so this gives it no address"));
        }
        if let Some((_, at)) = &subnet.metric {
            let path = at.path();
            self.warnings.push(format!(
                "`{path}`: routes of routers have the metric that the machine gives them; it was left out"
            ));
        }
    }

    /// The MTU of an IPv4 subnet is the link's, and wins over the device's, as it does for cloud-init.
    fn take_mtu(&mut self, subnet: &Subnet) {
        let Some((mtu, at)) = &subnet.mtu else { return };
        let key = if subnet.method.is_ipv6() { "ipv6-mtu" } else { "mtu" };
        let before = self.keys.get(key).filter(|before| before.as_u64() != Some(u64::from(*mtu)));
        if let Some(before) = before {
            let path = at.path();
            self.warnings.push(format!("`{path}` is {mtu} and wins over the MTU of {before} given before"));
        }
        self.set(key, *mtu, at);
    }

    /// Version 2 has one way for all addresses of a device.
    fn take_control(&mut self, subnets: &[Subnet]) -> Result<(), Refusal> {
        let mut controls = subnets.iter().filter_map(|subnet| subnet.control.as_ref());
        let Some((first, at)) = controls.next() else { return Ok(()) };
        if let Some((other, at)) = controls.find(|(other, _)| other != first) {
            let expected = format!("`{first}`, as a subnet before has it: it holds for the whole device");
            return Err(at.refuse_text(other, expected));
        }
        let (manual, optional) = match *first {
            "manual" => (Value::from("manual"), Value::Null),
            "hotplug" => (Value::Null, true.into()),
            _ => (Value::Null, Value::Null),
        };
        self.set("activation-mode", manual, at);
        self.set("optional", optional, at);
        Ok(())
    }

    /// The device's map, and what its keys came from. Names of other devices become their ids.
    pub(super) fn finish(mut self, ids: &dyn Fn(&str) -> String, trace: &mut Trace) -> Map<String, Value> {
        let top = format!("{}.{}", self.section.key(), self.id);
        let (servers, search) = (std::mem::take(&mut self.servers), std::mem::take(&mut self.search));
        match &mut self.layer {
            // Before those of the subnets, as cloud-init has them.
            Some(layer) => layer.put_first(servers, search),
            None if servers.is_empty() && search.is_empty() => {}
            None => {
                let place = self.place.clone();
                self.set_dns(&servers, &search, &place);
            }
        }
        trace.note(top.clone(), &self.place);
        if let Some(layer) = self.layer.take() {
            layer.write(&mut self);
        }
        for (path, place, same) in &self.notes {
            let path = format!("{top}.{path}");
            if *same {
                trace.note_same(path, place);
            } else {
                trace.note(path, place);
            }
        }
        for key in ["interfaces", "link"] {
            if let Some(value) = self.keys.get_mut(key) {
                replace_names(value, ids);
            }
        }
        if let Some(Value::Object(parameters)) = self.keys.get_mut("parameters") {
            for (key, value) in parameters.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("primary", name) => replace_names(name, ids),
                    ("path-cost" | "port-priority", Value::Object(ports)) => {
                        let ports = std::mem::take(ports);
                        let ports: Map<String, Value> =
                            ports.into_iter().map(|(name, number)| (ids(&name), number)).collect();
                        *value = ports.into();
                    }
                    _ => {}
                }
            }
        }
        self.keys
    }
}

impl Layer {
    /// True if the device gets addresses of its own.
    pub(super) const fn is_dynamic(&self) -> bool {
        self.dhcp4.is_some() || self.dhcp6.is_some() || self.hears_routers
    }

    /// True if there is nothing to do.
    pub(super) const fn is_idle(&self) -> bool {
        !self.is_dynamic() && self.addresses.is_empty() && self.routes.is_empty() && !self.has_dns()
    }

    /// True if DNS is given.
    pub(super) const fn has_dns(&self) -> bool {
        !self.servers.is_empty() || !self.search.is_empty()
    }

    /// Each list is one of version 2 in the end, and as long as one may be.
    fn check_size(&self, place: &Place) -> Result<(), Refusal> {
        let longest = self.routes.len().max(self.servers.len()).max(self.search.len());
        check_size(longest, place)
    }

    fn put_first(&mut self, servers: Vec<IpAddr>, search: Vec<String>) {
        let later = std::mem::replace(&mut self.servers, servers);
        add_new(&mut self.servers, later);
        let later = std::mem::replace(&mut self.search, search);
        add_new(&mut self.search, later);
    }

    /// Adds a route. A second subnet of one network names the same gateway again.
    pub(super) fn add_route(&mut self, route: RouteAt) {
        let found = self.routes.iter_mut().map(|other| &mut other.route).find(|other| {
            let on_link = other.on_link;
            super::route::Route { on_link, ..route.route.clone() } == **other
        });
        match found {
            // A network that holds the gateway makes it reachable, whichever subnet was first.
            Some(other) => other.on_link &= route.route.on_link,
            None => self.routes.push(route),
        }
    }

    fn write(self, draft: &mut Draft) {
        let place = draft.place.key("subnets");
        for (key, overrides, metric) in [
            ("dhcp4", "dhcp4-overrides.route-metric", self.dhcp4),
            ("dhcp6", "dhcp6-overrides.route-metric", self.dhcp6),
        ] {
            if metric.is_some() {
                draft.set(key, true, &place);
            }
            draft.set(overrides, metric.flatten().map_or(Value::Null, Value::from), &place);
        }
        if !self.addresses.is_empty() {
            let addresses: Vec<String> =
                self.addresses.iter().map(|(address, _)| address.to_string()).collect();
            draft.set("addresses", addresses, &place);
            for (index, (_, at)) in self.addresses.iter().enumerate() {
                draft.notes.push((format!("addresses[{index}]"), at.clone(), false));
            }
        }
        if !self.routes.is_empty() {
            let routes: Vec<Value> = self.routes.iter().map(|route| route.route.to_value()).collect();
            draft.set("routes", routes, &place);
            for (index, route) in self.routes.iter().enumerate() {
                draft.notes.push((format!("routes[{index}]"), route.place.clone(), false));
            }
        }
        if self.has_dns() {
            draft.set_dns(&self.servers, &self.search, &place);
        }
        for key in DECIDED_BY_SUBNETS {
            draft.keys.entry(key).or_insert(Value::Null);
        }
    }
}

impl Draft {
    /// Adds name servers of an entry that names the device.
    pub(super) fn add_nameserver(&mut self, entry: Nameserver) -> Result<(), Refusal> {
        add_new(&mut self.servers, entry.servers);
        add_new(&mut self.search, entry.search);
        check_size(self.servers.len().max(self.search.len()), &entry.place)
    }

    /// DNS of the device, in place of what it had.
    pub(super) fn set_dns(&mut self, servers: &[IpAddr], search: &[String], place: &Place) {
        let list = |items: Vec<Value>| if items.is_empty() { Value::Null } else { items.into() };
        let servers = servers.iter().map(|server| server.to_string().into()).collect();
        let search = search.iter().map(|domain| domain.as_str().into()).collect();
        self.set("nameservers.addresses", list(servers), place);
        self.set("nameservers.search", list(search), place);
    }
}

fn check_size(longest: usize, place: &Place) -> Result<(), Refusal> {
    if longest <= LONGEST_LIST {
        return Ok(());
    }
    let expected = format!("at most {LONGEST_LIST} routes, name servers and domains on a device");
    Err(place.refuse_text(&longest.to_string(), expected))
}

fn replace_names(value: &mut Value, ids: &dyn Fn(&str) -> String) {
    match value {
        Value::String(name) => *name = ids(name),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_names(item, ids)),
        _ => {}
    }
}

/// Adds what is not there yet.
pub(super) fn add_new<T: PartialEq>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}
