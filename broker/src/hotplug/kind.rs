//! What kind of link software has made: a question to rtnetlink(7), as sysfs does not say it.
//!
//! The kernel answers while it takes the question, and waits for whoever is changing links at that moment: a veth that
//! is being made is whole by then. So this is for a thread that may wait.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkBuffer, NlasIterator};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, socket_with,
};

use super::links::{HEADER as LINK, RTM_NEWLINK};

/// The kernel's numbers (`linux/rtnetlink.h`, `linux/if_link.h`).
const RTM_GETLINK: u16 = 18;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// `struct nlmsghdr`.
const MESSAGE: usize = 16;
/// Largest answer about one link, without the virtual functions of cards, which are not asked for.
const LARGEST: usize = 16_384;

/// The kind of a link, as `veth`. None if it has none, is gone, or cannot be asked for.
pub(super) fn kind_of(ifindex: u32) -> Option<String> {
    ask(ifindex).inspect_err(|error| tracing::debug!(%error, ifindex, "cannot ask for a link's kind")).ok()?
}

fn ask(ifindex: u32) -> io::Result<Option<String>> {
    let kernel = SocketAddrNetlink::new(0, 0);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, &question(ifindex), SendFlags::empty(), &kernel)?;
    let mut buffer = [0; LARGEST];
    let (length, _, sender) = recvfrom(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
    let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
    Ok(if sender == Some(kernel) { answer(&buffer[..length], ifindex) } else { None })
}

/// One link, by its index.
fn question(ifindex: u32) -> [u8; MESSAGE + LINK] {
    const LENGTH: usize = MESSAGE + LINK;
    let mut bytes = [0; LENGTH];
    let mut message = NetlinkBuffer::new(&mut bytes[..]);
    message.set_length(u32::try_from(LENGTH).expect("thirty-two bytes are few"));
    message.set_message_type(RTM_GETLINK);
    message.set_flags(NLM_F_REQUEST);
    // `struct ifinfomsg`: family, type, index, flags, change.
    bytes[MESSAGE + 4..MESSAGE + 8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes
}

fn answer(datagram: &[u8], ifindex: u32) -> Option<String> {
    let message = NetlinkBuffer::new_checked(datagram).ok()?;
    let payload = message.payload();
    if message.message_type() != RTM_NEWLINK || payload.get(4..8)? != ifindex.to_ne_bytes() {
        return None;
    }
    let info = value(payload.get(LINK..)?, IFLA_LINKINFO)?;
    let kind = value(info, IFLA_INFO_KIND)?;
    Some(std::str::from_utf8(kind.strip_suffix(&[0]).unwrap_or(kind)).ok()?.to_owned())
}

/// An attribute's value.
fn value(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut at = 0;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        let length = usize::from(attribute.length());
        if attribute.kind() == kind {
            return attributes.get(at + ATTRIBUTE..at + length);
        }
        at += length.next_multiple_of(4);
    }
    None
}

/// `struct nlattr`.
const ATTRIBUTE: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `RTM_NEWLINK` of link 7 with a name and a kind.
    fn veth() -> Vec<u8> {
        let mut bytes = question(7).to_vec();
        bytes[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        for attribute in [
            &[8, 0, 3, 0, b'a', b'b', 0, 0][..],
            &[16, 0, 18, 0, 9, 0, 1, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0],
        ] {
            bytes.extend(attribute);
        }
        bytes[0] = u8::try_from(bytes.len()).unwrap();
        bytes
    }

    #[test]
    fn the_kind_is_found() {
        assert_eq!(answer(&veth(), 7).as_deref(), Some("veth"));
        assert_eq!(answer(&veth(), 8), None, "another link");
        assert_eq!(answer(&question(7), 7), None, "no answer");
    }

    #[test]
    fn the_kernel_answers() {
        // Every network namespace has it, and it is of no kind.
        assert_eq!(ask(1).unwrap(), None);
        assert_eq!(kind_of(u32::MAX >> 1), None, "there is no such link");
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(at in 0..56_usize, byte in any::<u8>(), cut in 0..57_usize) {
            let mut bytes = veth();
            bytes[at] = byte;
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _any = answer(&bytes, 7);
        }
    }
}
