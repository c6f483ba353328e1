//! The `network` module: network-config version 1 or 2, pushed in parts, merged into what the machine has.
//!
//! ```text
//! payload ─▶ version 2 (push, v1) ─▶ schema (config, device, …) ─▶ merge ─▶ typed config ─▶ renderer ─▶ files
//!                             held, or what cloud-init left ────────┘             └─▶ activation ─▶ expectation
//! ```
//!
//! The typed config knows no renderer. A renderer is one file, or folder: it says what cloud-init left in its
//! format, what else defines a device, and what the files are. How files come into effect is `activation`, where each
//! network stack has a file: two renderers may end in the same stack.

mod activation;
mod address;
mod backend;
mod base;
mod change;
mod choice;
mod config;
mod contradiction;
mod deferral;
mod desired;
mod device;
mod eni;
mod expectation;
mod former_mtu;
mod hidden;
mod instance_config;
mod known_names;
mod link;
mod memory;
mod merge;
mod name;
mod netplan;
mod network_manager;
mod networkd;
mod object;
mod observed;
mod origin;
mod orphan_link;
mod orphans;
mod outlook;
mod place;
mod planning;
mod procfs;
mod push;
mod reading;
mod rename;
mod rendered_file;
mod renderer;
mod replaced;
mod route;
mod scene;
mod settings;
mod sysconfig;
mod take_over;
mod udev;
mod v1;
mod value;
mod virtual_device;
mod wanted;

use cloud_channel_protocol::Module;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use expectation::Expectation;
pub(crate) use expectation::verify;

use crate::{ConfigModule, Held, Outlook, Plan, Refusal, System};
use base::Base;
use link::Links;
use memory::Memory;
use push::Push;

/// The module behind `config/set/network`.
#[derive(Debug)]
pub struct Network;

impl ConfigModule for Network {
    fn module(&self) -> Module {
        Module::Network
    }

    /// Schema, and whether this machine's renderer is one that we serve. What a push refers to is judged by
    /// `plan`, when what it is merged into is known.
    fn check(&self, payload: &RawValue, system: &dyn System) -> Result<(), Refusal> {
        let push = Push::read(&parse(payload)?)?.alone()?;
        backend::check(&push.document, push.path, choice::choose(system)?.name())
    }

    fn settle(&self, system: &dyn System) {
        udev::settle(system);
    }

    fn plan(&self, held: &Held, payload: &RawValue, system: &dyn System) -> Result<Plan, Refusal> {
        planning::plan(held, &parse(payload)?, system)
    }

    fn outlook(&self, held: &Held, system: &dyn System) -> Result<Outlook, Refusal> {
        outlook::outlook(held, system)
    }

    fn resume(&self, held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
        planning::resume(held, system)
    }

    fn revert(&self, held: &Held, system: &dyn System) -> Result<Plan, Refusal> {
        planning::revert(held, system)
    }

    /// `renderer` (or `null`, with `problem`), `desired`, `applied`, `waiting`, `files`, `links`, `observed` (`null` if there is
    /// no kernel to ask).
    fn describe(&self, held: &Held, system: &dyn System) -> Value {
        let links = Links::look(system);
        let config = links.as_ref().map_err(Clone::clone);
        let mut answer = config
            .and_then(|links| describe_config(held, links, system))
            .unwrap_or_else(|refusal| json!({"renderer": null, "problem": refusal.to_string()}));
        answer["links"] = links.iter().flat_map(Links::iter).map(describe_link).collect();
        answer["observed"] = match links {
            Ok(links) => links.network().map_or(Value::Null, observed::describe),
            Err(refusal) => json!({"problem": refusal.to_string()}),
        };
        answer
    }
}

fn describe_config(held: &Held, links: &Links, system: &dyn System) -> Result<Value, Refusal> {
    let renderer = choice::choose(system)?;
    let memory = Memory::recall(held)?;
    let base = Base::find(memory.as_ref(), || None, &*renderer, links, system)?;
    Ok(json!({
        "renderer": renderer.name(),
        "desired": hidden::without_hidden(&base.document),
        "applied": hidden::without_hidden(&base.applied),
        "waiting": memory.map(|memory| memory.waiting).unwrap_or_default(),
        "files": base.ours,
    }))
}

fn describe_link(link: &link::Link) -> Value {
    json!({
        "name": link.name,
        "address": link.address.map(|address| address.to_string()),
        "mtu": link.mtu,
    })
}

/// The envelope is JSON already, or it would not have come this far; numbers too large for any type may still
/// fail.
fn parse(payload: &RawValue) -> Result<Value, Refusal> {
    serde_json::from_str(payload.get())
        .map_err(|error| Refusal::at("network", "a JSON document").given(error.to_string()))
}
