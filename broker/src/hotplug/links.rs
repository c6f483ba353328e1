//! Links as they were last heard of, so that only differences count: the kernel tells of statistics, of radio, of
//! queues and ports too.

use std::collections::HashMap;

use netlink_packet_core::{NLM_F_MULTIPART, NetlinkBuffer, NlasIterator};

/// Links that are remembered. Whatever is said of others counts as a difference.
const MOST: usize = 4_096;

/// The kernel's numbers (`linux/rtnetlink.h`, `linux/if_link.h`).
pub(super) const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const AF_UNSPEC: u8 = 0;
const IFF_UP: u32 = 1;

/// What is remembered of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    /// As sysfs writes it: hexadecimal pairs with colons.
    pub(super) address: String,
    /// Somebody has set it up; whether there is a carrier is another matter.
    pub(super) up: bool,
}

/// What a message says of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkNews {
    /// It is there. Some messages, as those about radio, name a part only.
    There {
        index: u32,
        name: Option<String>,
        address: Option<String>,
        up: bool,
    },
    Gone {
        index: u32,
    },
}

/// A datagram that is not as the kernel writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected messages of rtnetlink(7)")]
pub(super) struct Malformed;

/// Links by index.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<u32, Link>);

impl Links {
    /// Takes news in. True if something differs.
    pub(super) fn hear(&mut self, news: LinkNews) -> bool {
        match news {
            LinkNews::Gone { index } => self.0.remove(&index).is_some() || self.is_full(),
            LinkNews::There { index, name, address, up } => {
                let is_full = self.is_full();
                let Some(link) = self.0.get_mut(&index) else {
                    if !is_full {
                        let (name, address) = (name.unwrap_or_default(), address.unwrap_or_default());
                        self.0.insert(index, Link { name, address, up });
                    }
                    return true;
                };
                let name = name.unwrap_or_else(|| link.name.clone());
                let address = address.unwrap_or_else(|| link.address.clone());
                let now = Link { name, address, up };
                let differs = *link != now;
                *link = now;
                differs
            }
        }
    }

    /// Takes all links as they are now. True if something differs.
    pub(super) fn replace(&mut self, there: Vec<(u32, Link)>) -> bool {
        let now: HashMap<u32, Link> = there.into_iter().take(MOST).collect();
        let differs = self.0 != now;
        self.0 = now;
        differs
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }
}

/// Reads a datagram of the kernel: what it says of links, in order.
///
/// # Errors
/// If it is not as the kernel writes them.
pub(super) fn parse(datagram: &[u8]) -> Result<Vec<LinkNews>, Malformed> {
    let mut news = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest).map_err(|_| Malformed)?;
        let length = usize::try_from(message.length()).map_err(|_| Malformed)?;
        // Answers to questions of others have parts; news of a group have none.
        if message.flags() & NLM_F_MULTIPART == 0 {
            news.extend(read(message.message_type(), message.payload())?);
        }
        // Messages are aligned to four bytes; the last may end without its padding (netlink(3)).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(news)
}

fn read(kind: u16, payload: &[u8]) -> Result<Option<LinkNews>, Malformed> {
    if !matches!(kind, RTM_NEWLINK | RTM_DELLINK) {
        return Ok(None);
    }
    let (header, attributes) = payload.split_first_chunk::<HEADER>().ok_or(Malformed)?;
    let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let (family, index, is_up) = (header[0], number(4), number(8) & IFF_UP != 0);
    // Other families speak of a link's membership: it is no bridge's port any more, but it is still there.
    if family != AF_UNSPEC {
        return Ok(None);
    }
    if kind == RTM_DELLINK {
        return Ok(Some(LinkNews::Gone { index }));
    }
    let (mut name, mut address) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(|_| Malformed)?;
        match attribute.kind() {
            IFLA_IFNAME => name = Some(text(attribute.value())),
            IFLA_ADDRESS => address = Some(pairs(attribute.value())),
            _ => {}
        }
    }
    Ok(Some(LinkNews::There { index, name, address, up: is_up }))
}

/// `struct ifinfomsg`: the family's octet, one that is not used, the kind of hardware in two; index, flags and a mask of flags in
/// four each (rtnetlink(7)).
pub(super) const HEADER: usize = 16;

fn text(value: &[u8]) -> String {
    let value = value.strip_suffix(&[0]).unwrap_or(value);
    String::from_utf8_lossy(value).into_owned()
}

fn pairs(value: &[u8]) -> String {
    let pairs: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{Emitable, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
    use proptest::prelude::*;

    use super::*;

    fn message(index: u32, up: bool, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        message.attributes = attributes;
        message
    }

    fn datagram(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut message: NetlinkMessage<RouteNetlinkMessage> =
            NetlinkMessage::new(Default::default(), NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    fn eth(name: &str, up: bool) -> Vec<u8> {
        let address = LinkAttribute::Address(vec![0x52, 0x54, 0, 0, 0, 1]);
        let attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::Mtu(1_500), address];
        datagram(RouteNetlinkMessage::NewLink(message(7, up, attributes)))
    }

    fn there(name: Option<&str>, address: Option<&str>, up: bool) -> LinkNews {
        let (name, address) = (name.map(str::to_owned), address.map(str::to_owned));
        LinkNews::There { index: 7, name, address, up }
    }

    const MAC: &str = "52:54:00:00:00:01";

    #[test]
    fn messages_are_read() {
        assert_eq!(parse(&eth("eth1", true)).unwrap(), [there(Some("eth1"), Some(MAC), true)]);
        let gone = datagram(RouteNetlinkMessage::DelLink(message(7, false, Vec::new())));
        assert_eq!(parse(&gone).unwrap(), [LinkNews::Gone { index: 7 }]);
        let both = [eth("eth1", false), gone].concat();
        assert_eq!(parse(&both).unwrap().len(), 2);
    }

    #[test]
    fn other_messages_say_nothing_of_links() {
        let mut port = message(7, true, Vec::new());
        port.header.interface_family = AddressFamily::Bridge;
        assert_eq!(parse(&datagram(RouteNetlinkMessage::DelLink(port))).unwrap(), [], "it leaves a bridge");
        let address = datagram(RouteNetlinkMessage::NewAddress(Default::default()));
        assert_eq!(parse(&address).unwrap(), []);
        assert_eq!(parse(&[]).unwrap(), []);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let good = eth("eth1", true);
        for length in [0_u8, 15, 17, 255] {
            let mut bytes = good.clone();
            bytes[0] = length;
            bytes[1] = 0;
            assert_eq!(parse(&bytes), Err(Malformed), "message of {length}");
        }
        for length in [0_u8, 3, 200] {
            let mut bytes = good.clone();
            bytes[32] = length;
            assert_eq!(parse(&bytes), Err(Malformed), "attribute of {length}");
        }
        assert_eq!(parse(&good[..good.len() - 1]), Err(Malformed));
    }

    #[test]
    fn only_differences_count() {
        let mut links = Links::default();
        assert!(links.hear(there(Some("eth1"), Some(MAC), false)));
        assert!(!links.hear(there(Some("eth1"), Some(MAC), false)));
        assert!(!links.hear(there(Some("eth1"), None, false)), "radio, and what is not said is as it was");
        assert!(links.hear(there(Some("eth1"), Some(MAC), true)), "up");
        assert!(links.hear(there(Some("ens3"), Some(MAC), true)), "renamed");
        assert!(links.hear(there(Some("ens3"), Some("02:00:00:00:00:01"), true)), "another address");
        assert!(links.hear(LinkNews::Gone { index: 7 }));
        assert!(!links.hear(LinkNews::Gone { index: 7 }));
    }

    #[test]
    fn a_scan_says_what_was_missed() {
        let link = |up| Link { name: "eth1".to_owned(), address: MAC.to_owned(), up };
        let mut links = Links::default();
        assert!(links.replace(vec![(7, link(false))]));
        assert!(!links.replace(vec![(7, link(false))]));
        assert!(!links.hear(there(Some("eth1"), Some(MAC), false)), "sysfs and netlink write alike");
        assert!(links.replace(vec![(7, link(true))]) && links.replace(Vec::new()));
    }

    #[test]
    fn of_links_that_are_too_many_everything_counts() {
        let mut links = Links::default();
        let there = |index: usize| LinkNews::There {
            index: u32::try_from(index).unwrap(),
            name: None,
            address: None,
            up: false,
        };
        for index in 1..=MOST {
            assert!(links.hear(there(index)));
        }
        assert!(!links.hear(there(MOST)));
        assert!(links.hear(there(MOST + 1)) && links.hear(there(MOST + 1)));
        assert_eq!(links.0.len(), MOST);
        assert!(links.hear(LinkNews::Gone { index: u32::MAX }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _any = parse(&bytes);
        }

        #[test]
        fn nor_do_nearly_right_ones(at in 0..60_usize, byte in any::<u8>(), cut in 0..70_usize) {
            let mut bytes = eth("eth1", true);
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _any = parse(&bytes);
        }
    }
}
