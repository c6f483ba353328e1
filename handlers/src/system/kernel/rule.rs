//! One rule that chooses a routing table, and how `RTM_NEWRULE` tells of it.

use std::net::IpAddr;

use super::attributes::{Family, Malformed, attributes, head, number};

/// Attributes of a rule (`FRA_*`, linux/fib_rules.h).
mod of_rule {
    pub(super) const TO: u16 = 1;
    pub(super) const FROM: u16 = 2;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const MARK: u16 = 10;
    pub(super) const TABLE: u16 = 15;
}

/// One rule that chooses a routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRule {
    /// True if it is for IPv6.
    pub is_ipv6: bool,
    /// Lower is asked first.
    pub priority: u32,
    /// The network that packets come from, with the bits of its prefix; `None` for any.
    pub from: Option<(IpAddr, u8)>,
    /// The network that packets go to, with the bits of its prefix; `None` for any.
    pub to: Option<(IpAddr, u8)>,
    /// The table to look into; 0 if it does something else.
    pub table: u32,
    /// The firewall's mark of packets; 0 for any.
    pub mark: u32,
    /// The type of service of packets; 0 for any.
    pub type_of_service: u8,
}

impl KernelRule {
    /// Reads the message: `struct fib_rule_hdr`, then attributes. `None` for other families than IPv4 and IPv6.
    pub(super) fn parse(message: &[u8]) -> Result<Option<Self>, Malformed> {
        let (head, rest) = head::<12>(message)?;
        let [family, to, from, type_of_service, table, ..] = *head;
        let Some(family) = Family::from_number(family) else { return Ok(None) };
        let (to, from) = (family.prefix(to)?, family.prefix(from)?);
        let mut rule = Self {
            is_ipv6: family == Family::Ipv6,
            priority: 0,
            from: None,
            to: None,
            table: table.into(),
            mark: 0,
            type_of_service,
        };
        for attribute in attributes(rest) {
            let (kind, value) = attribute?;
            match kind {
                of_rule::TO => rule.to = Some((family.ip(value)?, to)),
                of_rule::FROM => rule.from = Some((family.ip(value)?, from)),
                of_rule::PRIORITY => rule.priority = number(value)?,
                of_rule::MARK => rule.mark = number(value)?,
                of_rule::TABLE => rule.table = number(value)?,
                _ => {}
            }
        }
        Ok(Some(rule))
    }
}
