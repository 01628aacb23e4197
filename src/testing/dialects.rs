//! Clients that spell an application's events otherwise, as the shard serves them: what they say reaches the home in its words,
//! what they are told is in theirs, once for each dialect.

use serde_json::Value;

use super::{Id, World};
use crate::app::Asked;
use crate::app::effect::Emission;
use crate::app::event::Args;
use crate::app::kit::dialect::{Aside, Dialect, Heard};
use crate::app::{AuthFailure, Refusal};

impl World {
    /// Clients that connect from now on come by a listener that speaks `spoken`, one of these dialects, unless the application
    /// chooses otherwise.
    pub(crate) fn speaks(&mut self, dialects: &'static [Dialect], spoken: Option<&'static str>) {
        (self.dialects, self.spoken) = (dialects, spoken);
    }

    /// What a client speaks that connects now.
    pub(super) fn dialect_of(&self, asked: &Asked<'_>) -> Option<&'static Dialect> {
        let name = self.home.app().dialect(asked, self.spoken)?;
        let dialect = self.dialects.iter().find(|dialect| dialect.name == name);
        Some(dialect.unwrap_or_else(|| panic!("{name} is no dialect")))
    }

    /// What a client has said, as its home hears it; `None`: not at all, and it has been answered.
    pub(super) fn in_our_words(&mut self, id: Id, args: Args, ack: Option<u64>) -> Option<Args> {
        let client = self.clients.get_mut(&id).unwrap();
        let Some(dialect) = client.dialect else { return Some(args) };
        let mut aside = Aside { now: self.now, rng: &mut self.rng, beside: None };
        match dialect.hear(args, &mut aside) {
            Heard::Home(args, answers) => {
                client.spelled.extend(ack.zip(answers));
                Some(args)
            }
            Heard::Nobody(told) => {
                client.inbox.extend(told.iter().map(parts));
                let reply = told.first().and_then(Emission::arg).unwrap_or_default();
                let args = self.home.app().ack_style().good(reply);
                client.acks.extend(ack.map(|id| (id, serde_json::from_str(&args).unwrap())));
                None
            }
        }
    }

    /// Name and first argument of each event that clients of a dialect are told, or of the event itself.
    pub(super) fn in_words_of(&mut self, dialect: Option<&Dialect>, event: &Emission) -> Vec<(String, Value)> {
        let beside = event.beside.as_ref().map(|text| text.as_str());
        let mut aside = Aside { now: self.now, rng: &mut self.rng, beside };
        let told = dialect.and_then(|dialect| dialect.tell(event, &mut aside));
        let told = told.unwrap_or_else(|| vec![event.clone()]);
        told.iter().map(parts).collect()
    }

    /// An ack in the client's words.
    pub(super) fn answer_of(&mut self, id: Id, ack: u64, args: &[u8], beside: Option<&str>) -> Value {
        let client = self.clients.get_mut(&id).unwrap();
        let mut aside = Aside { now: self.now, rng: &mut self.rng, beside };
        let spelled = client.dialect.zip(client.spelled.remove(&ack));
        let told = spelled.and_then(|(dialect, answers)| dialect.answer(answers, args, &[], &mut aside));
        serde_json::from_slice(told.as_ref().map_or(args, |(args, _)| args)).unwrap()
    }
}

/// A refusal as clients of a dialect read it.
pub(super) fn refused_in(dialect: Option<&Dialect>, mut refusal: Refusal, why: Option<AuthFailure>) -> Refusal {
    if let Some(change) = dialect.and_then(|dialect| dialect.refused) {
        change(&mut refusal, why);
    }
    refusal
}

fn parts(event: &Emission) -> (String, Value) {
    let array: Vec<Value> = serde_json::from_slice(&event.array).unwrap();
    (array[0].as_str().unwrap().to_owned(), array.get(1).cloned().unwrap_or_default())
}
