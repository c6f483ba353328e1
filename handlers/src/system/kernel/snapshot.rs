//! Asks the kernel for one part after another.

use std::io;

use rustix::io::Errno;

use super::attributes::{Family, Malformed};
use super::dump::{Dump, Fault, Question};
use super::exchange::Kernel;
use super::socket::RouteSocket;
use super::{KernelAddress, KernelGap, KernelLink, KernelNetwork, KernelPart, KernelRoute, KernelRule};
use crate::system::tree::told;

/// A guest has a few links, a host of containers some thousands.
const MOST_LINKS: usize = 16_384;

/// As many addresses as four for each link.
const MOST_ADDRESSES: usize = 65_536;

/// Routes of a family that somebody has set up; routing daemons have more, which are not read.
const MOST_ROUTES: usize = 65_536;

/// Rules of both families.
pub(super) const MOST_RULES: usize = 8_192;

/// How often a part is read that changes while it is.
pub(super) const MOST_TRIES: usize = 8;

/// Datagrams of all answers together: two million routes of a router fill about ten thousand.
pub(super) const MOST_DATAGRAMS: usize = 65_536;

/// The questions: the head that each answer has as well, all zeros but for a family.
const LINKS: Question = Question { what: "links", kind: 18, answer: 16, body: &LINKS_BODY };
const ADDRESSES: Question = Question { what: "addresses", kind: 22, answer: 20, body: &[0; 8] };
const IPV4_ROUTES: Question =
    Question { what: "IPv4 routes", kind: 26, answer: 24, body: &routes(Family::Ipv4) };
const IPV6_ROUTES: Question =
    Question { what: "IPv6 routes", kind: 26, answer: 24, body: &routes(Family::Ipv6) };
const RULES: Question = Question { what: "routing rules", kind: 34, answer: 32, body: &[0; 12] };

/// With `IFLA_EXT_MASK` (29) of `RTEXT_FILTER_SKIP_STATS` (8): counters would be the larger half of the answer.
const LINKS_BODY: [u8; 24] = {
    let mut body = [0; 24];
    let ([length_low, length_high], [kind_low, kind_high]) = (8_u16.to_ne_bytes(), 29_u16.to_ne_bytes());
    [body[16], body[17], body[18], body[19]] = [length_low, length_high, kind_low, kind_high];
    [body[20], body[21], body[22], body[23]] = 8_u32.to_ne_bytes();
    body
};

const fn routes(family: Family) -> [u8; 12] {
    let mut body = [0; 12];
    body[0] = family.number();
    body
}

/// What the kernel has in the namespace of the calling thread.
///
/// # Errors
/// Which part cannot be read, and why.
pub(in crate::system) fn look() -> io::Result<KernelNetwork> {
    let socket = RouteSocket::open().map_err(|error| fault("network", &told(&error), error.kind()))?;
    Snapshot::of(socket).take()
}

/// A snapshot that is being taken.
pub(super) struct Snapshot<K> {
    kernel: K,
    /// The number of the last question.
    sequence: u32,
    /// Datagrams received.
    datagrams: usize,
    gaps: Vec<KernelGap>,
}

/// What a part may hold.
struct Room {
    part: KernelPart,
    most: usize,
}

impl<K: Kernel> Snapshot<K> {
    pub(super) const fn of(kernel: K) -> Self {
        Self { kernel, sequence: 0, datagrams: 0, gaps: Vec::new() }
    }

    /// Reads every part.
    pub(super) fn take(mut self) -> io::Result<KernelNetwork> {
        let room = |part, most| Room { part, most };
        let link = |message: &[u8]| KernelLink::parse(message).map(Some);
        let mut links = self.part(&LINKS, &room(KernelPart::Links, MOST_LINKS), link)?;
        links.sort_by_key(|link| link.index);
        let addresses =
            self.part(&ADDRESSES, &room(KernelPart::Addresses, MOST_ADDRESSES), KernelAddress::parse)?;
        let most_routes = room(KernelPart::Routes, MOST_ROUTES);
        let ipv4 = |message: &[u8]| KernelRoute::parse(message, Family::Ipv4);
        let mut routes = self.part(&IPV4_ROUTES, &most_routes, ipv4)?;
        let ipv6 = |message: &[u8]| KernelRoute::parse(message, Family::Ipv6);
        routes.extend(self.part(&IPV6_ROUTES, &most_routes, ipv6)?);
        let rules = self.part(&RULES, &room(KernelPart::Rules, MOST_RULES), KernelRule::parse)?;
        Ok(KernelNetwork { links, addresses, routes, rules, gaps: self.gaps })
    }

    /// Reads a part, again if it changed meanwhile. What is missing in the end is told as a gap.
    fn part<T>(
        &mut self,
        question: &Question,
        room: &Room,
        parse: impl Fn(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> io::Result<Vec<T>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut found = Found { items: Vec::new(), left_out: 0, malformed: 0, why: Malformed("") };
            let whole = self.dump(question, &mut |message| found.add(parse(message), room.most))?;
            if whole || tries == MOST_TRIES {
                self.gaps.extend(found.gaps(room, whole));
                return Ok(found.items);
            }
        }
    }

    /// Asks once and reads the answer to its end. False if something changed meanwhile.
    fn dump(&mut self, question: &Question, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let failed = |error: io::Error| fault(question.what, &told(&error), error.kind());
        self.sequence += 1;
        let mut dump = Dump::of(question, self.sequence);
        self.kernel.ask(&question.datagram(self.sequence)).map_err(failed)?;
        loop {
            self.datagrams += 1;
            if self.datagrams > MOST_DATAGRAMS {
                let why = format!("the answer has no end after {MOST_DATAGRAMS} datagrams");
                return Err(fault(question.what, &why, io::ErrorKind::Other));
            }
            let datagram = self.kernel.answer().map_err(failed)?;
            if datagram.sender != 0 {
                continue;
            }
            if datagram.is_cut {
                let why =
                    format!("a datagram is longer than the {} bytes there is room for", datagram.bytes.len());
                return Err(fault(question.what, &why, io::ErrorKind::InvalidData));
            }
            match dump.read(datagram.bytes, take) {
                Ok(true) => return Ok(!dump.is_interrupted),
                Ok(false) => {}
                // A kernel that was built without it has none of it.
                Err(Fault::Refused(errno)) if is_absence(errno) => return Ok(true),
                Err(Fault::Refused(errno)) => return Err(failed(io::Error::from_raw_os_error(errno))),
                Err(Fault::Malformed(why)) => {
                    return Err(fault(question.what, &why.to_string(), io::ErrorKind::InvalidData));
                }
            }
        }
    }
}

fn is_absence(errno: i32) -> bool {
    [Errno::OPNOTSUPP, Errno::AFNOSUPPORT].iter().any(|absence| absence.raw_os_error() == errno)
}

fn fault(what: &str, why: &str, kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, format!("cannot read the kernel's {what} by netlink: {why}"))
}

/// What one try has found.
struct Found<T> {
    items: Vec<T>,
    left_out: usize,
    malformed: usize,
    /// Why the first of these is.
    why: Malformed,
}

impl<T> Found<T> {
    fn add(&mut self, item: Result<Option<T>, Malformed>, most: usize) {
        match item {
            Ok(None) => {}
            Ok(Some(_)) if self.items.len() == most => self.left_out += 1,
            Ok(Some(item)) => self.items.push(item),
            Err(why) => {
                if self.malformed == 0 {
                    self.why = why;
                }
                self.malformed += 1;
            }
        }
    }

    fn gaps(&self, room: &Room, whole: bool) -> impl Iterator<Item = KernelGap> {
        let gap = |count, reason| KernelGap { part: room.part, count, reason };
        let full = || gap(self.left_out, format!("there are more than {}", room.most));
        let malformed = || gap(self.malformed, format!("they cannot be understood: {}", self.why));
        let moving =
            || gap(1, format!("something changed each of the {MOST_TRIES} times that they were read"));
        let gaps =
            [(self.left_out > 0).then(full), (self.malformed > 0).then(malformed), (!whole).then(moving)];
        gaps.into_iter().flatten()
    }
}
