//! What is told of the network: what is wanted, what was applied, what waits, and what the kernel has.

use serde_json::{Value, json};

use super::base::Base;
use super::memory::Memory;
use crate::network::document::hidden;
use crate::network::machine::link::{Link, Links};
use crate::network::machine::observed;
use crate::network::renderer::choice;
use crate::{Held, Refusal, System};

/// What the module holds and sees.
pub(crate) fn describe(held: &Held, system: &dyn System) -> Value {
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

fn describe_config(held: &Held, links: &Links, system: &dyn System) -> Result<Value, Refusal> {
    let renderer = choice::choose(system)?;
    let memory = Memory::recall(held)?;
    let base = Base::find(memory.as_ref(), || None, &*renderer, links, system)?;
    Ok(json!({
        "renderer": renderer.kind().name(),
        "desired": hidden::without_hidden(&base.document),
        "applied": hidden::without_hidden(&base.applied),
        "waiting": memory.map(|memory| memory.waiting).unwrap_or_default(),
        "files": base.ours,
    }))
}

fn describe_link(link: &Link) -> Value {
    json!({
        "name": link.name,
        "address": link.address.map(|address| address.to_string()),
        "mtu": link.mtu,
    })
}
