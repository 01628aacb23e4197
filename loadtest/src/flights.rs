//! Requests that wait for their answers, by number. Answers come mostly in the order of the requests.

use std::collections::VecDeque;

use crate::clock::Nanos;
use crate::pool::ClientId;

/// One request: who asked, and when it was meant to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flight {
    pub client: ClientId,
    pub intended: Nanos,
}

#[derive(Default, Debug)]
pub(crate) struct Flights {
    first: u64,
    slots: VecDeque<Option<Flight>>,
    open: usize,
}

impl Flights {
    /// The number of a new request.
    pub(crate) fn depart(&mut self, flight: Flight) -> u64 {
        self.slots.push_back(Some(flight));
        self.open += 1;
        self.first + self.slots.len() as u64 - 1
    }

    /// The request that was answered; `None` if it was answered before, or never asked by this client.
    pub(crate) fn arrive(&mut self, number: u64, client: ClientId) -> Option<Flight> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let slot = self.slots.get_mut(at)?;
        let flight = slot.take_if(|flight| flight.client == client)?;
        self.open -= 1;
        self.trim();
        Some(flight)
    }

    /// The requests of a client that is gone; how many there were.
    pub(crate) fn forget(&mut self, client: ClientId) -> usize {
        let mut gone = 0;
        for slot in &mut self.slots {
            gone += usize::from(slot.take_if(|flight| flight.client == client).is_some());
        }
        self.open -= gone;
        self.trim();
        gone
    }

    pub(crate) fn open(&self) -> usize {
        self.open
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(Option::is_none) {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered_once_and_by_the_one_that_was_asked() {
        let mut flights = Flights::default();
        let flight = |client, intended| Flight { client: ClientId(client), intended };
        assert_eq!([flight(1, 5), flight(2, 6), flight(1, 7)].map(|flight| flights.depart(flight)), [0, 1, 2]);
        assert_eq!(flights.arrive(1, ClientId(1)), None, "another client's");
        assert_eq!(flights.arrive(1, ClientId(2)), Some(flight(2, 6)));
        assert_eq!(flights.arrive(1, ClientId(2)), None, "twice");
        assert_eq!(flights.arrive(0, ClientId(1)), Some(flight(1, 5)));
        assert_eq!(flights.arrive(0, ClientId(1)), None, "long gone");
        assert_eq!(flights.arrive(3, ClientId(1)), None, "never asked");
        assert_eq!((flights.forget(ClientId(1)), flights.open()), (1, 0));
        assert_eq!(flights.depart(flight(3, 9)), 3);
    }
}
