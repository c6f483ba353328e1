//! The Prometheus text format, version 0.0.4 (prometheus.io, "Exposition formats").
//!
//! Written by hand: the crates for it keep registries of atomic counters behind locks, for values that here one task
//! owns already and hands over as a whole.

use std::fmt::Write;

/// The `Content-Type` of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only rises, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A text that grows by families.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// One name with all its values.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family: its values follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        append(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// A family of one value without labels.
    pub(super) fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Into<Value>) {
        self.family(name, kind, help).value(&[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a value under its labels.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) -> &mut Self {
        self.text.push_str(self.name);
        for (at, (name, label)) in labels.iter().enumerate() {
            let label = label.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            let before = if at == 0 { '{' } else { ',' };
            append(self.text, format_args!("{before}{name}=\"{label}\""));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        match value.into() {
            Value::Whole(whole) => append(self.text, format_args!("{after} {whole}\n")),
            Value::Real(real) => append(self.text, format_args!("{after} {real}\n")),
        }
        self
    }
}

/// A number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

fn append(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _infallible = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_values() {
        let mut exposition = Exposition::default();
        exposition
            .family("x_total", Kind::Counter, "Said \\ in\ntwo lines.")
            .value(&[("a", "b"), ("c", "q\"\\\n")], 7_u64)
            .value(&[("a", "d")], 0.5);
        exposition.single("y", Kind::Gauge, "One.", true);
        let expected = concat!(
            "# HELP x_total Said \\\\ in\\ntwo lines.\n# TYPE x_total counter\n",
            "x_total{a=\"b\",c=\"q\\\"\\\\\\n\"} 7\nx_total{a=\"d\"} 0.5\n",
            "# HELP y One.\n# TYPE y gauge\ny 1\n",
        );
        assert_eq!(exposition.into_text(), expected);
    }
}
