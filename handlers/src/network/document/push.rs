//! A push as it came: of version 1 or 2, as JSON or as YAML in a text.

use std::rc::Rc;

use serde_json::Value;

use super::config::{NetworkConfig, unwrap_envelope};
use super::place::{Place, Reading};
use super::renderer_key;
use super::v1::{self, Known, Trace};
use crate::Refusal;
use crate::yaml::YamlError;

/// A push that is right as far as it can be told without what it is merged into.
#[derive(Debug)]
pub(crate) struct Push {
    /// As it was sent, without the envelope, and with each device's own renderer.
    document: Rc<Value>,
    /// What faults call its top.
    path: &'static str,
    is_version_1: bool,
}

/// A push as a document of version 2.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The document.
    pub(crate) document: Rc<Value>,
    /// What faults call its top.
    pub(crate) path: &'static str,
    /// What the sender should know.
    pub(crate) warnings: Vec<String>,
    trace: Trace,
}

impl Push {
    /// Reads a payload. A text is YAML: a network-config file as it is.
    pub(crate) fn read(payload: &Value) -> Result<Self, Refusal> {
        let from_text;
        let payload = match payload {
            Value::String(text) => {
                let node = crate::yaml::read(text.as_bytes()).map_err(|error| match error {
                    YamlError::Repeated(position) => Refusal::at("network", "each key of a map once")
                        .given(format!("one again at {position}")),
                    other => Refusal::at("network", "a map, or a text that is a YAML file")
                        .given(other.to_string()),
                })?;
                from_text = Value::from(node);
                &from_text
            }
            other => other,
        };
        let (document, path) = unwrap_envelope(payload)?;
        let is_version_1 = v1::is_version_1(document);
        let document = if is_version_1 {
            document.clone()
        } else {
            renderer_key::spread(document, &Place::top(path, Reading::Push))?
        };
        let push = Self { document: Rc::new(document), path, is_version_1 };
        let settled = push.settle(None)?;
        if !is_version_1 {
            check(&settled)?;
        }
        Ok(push)
    }

    /// The push as version 2 has it, as far as it can be told without what it is merged into.
    pub(crate) fn alone(&self) -> Result<Settled, Refusal> {
        self.settle(None)
    }

    /// The push as version 2 has it. Devices of version 1 become those of `base` that are the same.
    pub(crate) fn onto(&self, base: &Value) -> Result<Settled, Refusal> {
        self.settle(Some(base))
    }

    fn settle(&self, base: Option<&Value>) -> Result<Settled, Refusal> {
        if !self.is_version_1 {
            // It is what it was when it was read.
            let document = Rc::clone(&self.document);
            return Ok(Settled { document, path: self.path, warnings: Vec::new(), trace: Trace::default() });
        }
        let place = Place::top(self.path, Reading::Push);
        let known = base.map(Known::of);
        let v1::Converted { document, trace, warnings } =
            v1::convert(&self.document, &place, known.as_ref())?;
        let settled = Settled { document: Rc::new(document), path: self.path, warnings, trace };
        check(&settled)?;
        Ok(settled)
    }
}

fn check(settled: &Settled) -> Result<(), Refusal> {
    NetworkConfig::check_push(&settled.document, settled.path).map_err(|refusal| settled.tell(refusal))
}

impl Settled {
    /// A fault of the document, told where the sender wrote it.
    pub(crate) fn tell(&self, refusal: Refusal) -> Refusal {
        self.trace.tell(refusal, self.path)
    }
}
