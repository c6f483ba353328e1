//! Messages in flight: how many may be, and which of them still wait for what.

/// A bounded set of outstanding messages. A message's number tells its place, so that looking it up costs nothing.
#[derive(Debug)]
pub(crate) struct Window {
    places: Vec<Place>,
    free: Vec<usize>,
    numbered: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    number: u64,
    waits: u64,
}

impl Window {
    /// Room for so many, at least one.
    pub(crate) fn new(room: usize) -> Self {
        let room = room.max(1);
        Self { places: vec![Place::default(); room], free: (0..room).rev().collect(), numbered: 0 }
    }

    /// Takes a place for a message that waits for so many arrivals, and gives the message's number. None if the
    /// window is full.
    pub(crate) fn open(&mut self, waits: u64) -> Option<u64> {
        let at = self.free.pop()?;
        // Never 0, which is the number of a place that was never taken.
        self.numbered += 1;
        let number = self.numbered * self.places.len() as u64 + at as u64;
        self.places[at] = Place { number, waits };
        Some(number)
    }

    /// Something that a message waits for has arrived. A message that is not in flight is passed over.
    pub(crate) fn arrived(&mut self, number: u64) {
        let room = self.places.len() as u64;
        let at = usize::try_from(number % room).expect("less than the room, which is in memory");
        let place = &mut self.places[at];
        if place.number != number || place.waits == 0 {
            return;
        }
        place.waits -= 1;
        if place.waits == 0 {
            self.free.push(at);
        }
    }

    /// True if nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_when_all_has_arrived() {
        let mut window = Window::new(2);
        let (first, second) = (window.open(2).unwrap(), window.open(1).unwrap());
        assert_eq!(window.open(1), None);
        window.arrived(first);
        assert_eq!(window.open(1), None);
        window.arrived(first);
        let third = window.open(1).unwrap();
        // What is no longer in flight does not touch what took its place.
        window.arrived(first);
        assert_eq!(window.open(1), None);
        window.arrived(third);
        window.arrived(second);
        window.arrived(second);
        assert!(window.is_empty());
    }
}
