//! Another spelling of an application's events, for clients that had it before: a table of names and fields, and beside a row
//! functions for what no table can say. An event goes in and comes out; what no row names, and every value that no row is about,
//! stays the bytes that came. Where a dialect is chosen, and who speaks one, is not known here.
//!
//! A function sees what the table has made of an event: our words of what is heard, theirs of what is told and of an ack.

mod fields;
mod said;

use bytes::Bytes;

use crate::app::effect::Emission;
use crate::app::event::Args;
use crate::app::{AuthFailure, Refusal};
use crate::base::json::scan_array;
use crate::base::rng::Rng;
use crate::base::time::Now;

pub use said::Said;

/// One dialect of an application.
#[derive(Debug)]
pub struct Dialect {
    /// As `[[listener]]` spells it.
    pub name: &'static str,
    pub words: &'static [Word],
    /// Our names that are spelled otherwise here mean nothing from its clients: such an event reaches its home as
    /// `<dialect>/<name>`, which no table of events has.
    pub strict: bool,
    /// Changes a CONNECT_ERROR; beside it is what was wrong with the token, where that was it.
    pub refused: Option<fn(&mut Refusal, Option<AuthFailure>)>,
    /// Changes every ack, behind what the word of its event has made of it.
    pub acked: Option<fn(&mut Said, &mut Aside<'_>)>,
}

/// One event and what it is called there.
#[derive(Debug)]
pub struct Word {
    pub ours: &'static str,
    /// Empty: clients are not told of it.
    pub theirs: &'static str,
    pub way: Way,
    /// Of each argument that is an object.
    pub fields: &'static [Field],
    /// Of the ack that answers the event, where it is one that clients send.
    pub ack: &'static [Field],
    /// Changes what a client has said.
    pub heard: Option<fn(&mut Said, &mut Aside<'_>)>,
    /// Changes what clients are told: as one event, none or several. Of a word that no home hears: makes of what a client has said
    /// what it is told at once.
    pub told: Option<fn(&mut Vec<Said>, &mut Aside<'_>)>,
    /// Changes the ack that answers the event; its name is the event's.
    pub acked: Option<fn(&mut Said, &mut Aside<'_>)>,
}

/// A member of an object, as we call it and as they do: paths such as `sender.id`. An empty path: the other side has no such
/// member, and it is left out.
pub type Field = (&'static str, &'static str);

/// Whom a word is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Both,
    /// Clients say it; several names may mean one event of ours.
    Heard,
    /// Clients are told it.
    Told,
}

/// What a function of a dialect may read beside the event.
pub struct Aside<'a> {
    pub now: Now,
    /// Each shard draws for itself.
    pub rng: &'a mut Rng,
    /// What the home has said beside an event or ack that clients are told ([`Emission::beside`]); JSON text.
    pub beside: Option<&'a str>,
}

/// The row whose answers are to be translated; opaque.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answers(pub u8);

/// What becomes of what a client has said.
#[derive(Debug)]
pub enum Heard {
    /// Its home does, in our words; its ack is translated by the row.
    Home(Args, Option<Answers>),
    /// Nobody does: its client is told this at once, in its own words, and the first argument of the first is what its ack says.
    Nobody(Vec<Emission>),
}

impl Dialect {
    /// What a client has said, in our words, and the row that its ack is translated by.
    pub fn hear(&self, args: Args, aside: &mut Aside<'_>) -> Heard {
        let name = args.name();
        let index = self.words.iter().position(|word| word.way != Way::Told && word.theirs == name && !name.is_empty());
        let wordless = self.acked.is_some().then_some(WORDLESS);
        let Some((index, word)) = index.map(|index| (index, &self.words[index])) else {
            let is_ours = |word: &Word| word.ours == name && word.theirs != name;
            if self.strict && !name.is_empty() && self.words.iter().any(is_ours) {
                let foreign = format!("{}/{name}", self.name);
                return Heard::Home(args.named(&foreign), wordless);
            }
            return Heard::Home(args, wordless);
        };
        if word.ours.is_empty() {
            return Heard::Nobody(word.at_once(&args, aside));
        }
        let has_answers = !word.ack.is_empty() || word.acked.is_some();
        let answers = if has_answers { Some(Answers(index as u8)) } else { wordless };
        if word.fields.is_empty() && word.heard.is_none() {
            return Heard::Home(args.named(word.ours), answers);
        }
        let Some(mut said) = Said::of_args(word.ours, &args) else { return Heard::Home(args, wordless) };
        said.rename(word.fields, |(ours, theirs)| (theirs, ours));
        if let Some(change) = word.heard {
            change(&mut said, aside);
        }
        let heard = said.into_args();
        let is_sound = args.attachments().is_empty() && heard.attachments().is_empty()
            || placeholders(heard.array(), heard.attachments().len())
                == placeholders(args.array(), args.attachments().len());
        // An attachment without its stand-in would break whom it is relayed to.
        if is_sound { Heard::Home(heard, answers) } else { Heard::Home(args, wordless) }
    }

    /// What clients are told, in their words, as one packet after the other; `None`: as it is.
    pub fn tell(&self, event: &Emission, aside: &mut Aside<'_>) -> Option<Vec<Emission>> {
        let name = said::name_of(&event.array)?;
        let word = self.words.iter().find(|word| word.way != Way::Heard && word.ours == name)?;
        if word.theirs.is_empty() && word.told.is_none() {
            return Some(Vec::new());
        }
        let mut said = Said::of_emission(word.theirs, event)?;
        said.rename(word.fields, |(ours, theirs)| (ours, theirs));
        let mut all = vec![said];
        if let Some(change) = word.told {
            change(&mut all, aside);
        }
        let told: Vec<Emission> = all.into_iter().map(Said::into_emission).collect();
        let is_sound = |told: &Emission| {
            let attachments = told.attachments.len();
            placeholders(&told.array, attachments) == Some(attachments)
        };
        // A client cannot read an event that lacks an attachment, or has one too many.
        let has_attachments = !event.attachments.is_empty() || told.iter().any(|told| !told.attachments.is_empty());
        (!has_attachments || told.iter().all(is_sound)).then_some(told)
    }

    /// An ack to an event that was heard by this row, in their words: `args` are JSON texts without brackets, as the answer's
    /// are. `None`: as it is.
    pub fn answer(
        &self,
        Answers(row): Answers,
        args: &[u8],
        attachments: &[Bytes],
        aside: &mut Aside<'_>,
    ) -> Option<(Bytes, Vec<Bytes>)> {
        let word = self.words.get(usize::from(row));
        let mut said = Said::of_answer(word.map_or("", |word| word.ours), args, attachments)?;
        if let Some(word) = word {
            said.rename(word.ack, |(ours, theirs)| (ours, theirs));
        }
        for change in word.and_then(|word| word.acked).into_iter().chain(self.acked) {
            change(&mut said, aside);
        }
        Some(said.into_answer())
    }

    /// What is wrong with the table, a sentence each: an event or a field would be lost, or not be found again.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut twice = |what: &str, all: &mut dyn Iterator<Item = &'static str>| {
            let mut names: Vec<&str> = all.filter(|name| !name.is_empty()).collect();
            names.sort_unstable();
            let again = names.windows(2).filter(|pair| pair[0] == pair[1]);
            faults.extend(again.map(|pair| format!("{}: {what} {} is there twice", self.name, pair[0])));
        };
        let words = |not: Way| self.words.iter().filter(move |word| word.way != not);
        twice("what clients say as", &mut words(Way::Told).map(|word| word.theirs));
        twice("our event", &mut words(Way::Heard).map(|word| word.ours));
        twice("what clients are told as", &mut words(Way::Heard).map(|word| word.theirs));
        for word in self.words {
            for fields in [word.fields, word.ack] {
                twice(&format!("the field of {}", word.ours), &mut fields.iter().map(|(ours, _)| *ours));
                twice(&format!("the field of {}", word.theirs), &mut fields.iter().map(|(_, theirs)| *theirs));
            }
        }
        if self.words.len() > usize::from(WORDLESS.0) {
            faults.push(format!("{}: more than {} words", self.name, WORDLESS.0));
        }
        faults
    }
}

impl Word {
    /// One name for another, in both directions.
    pub const fn both(ours: &'static str, theirs: &'static str) -> Word {
        let (fields, ack): (&[Field], &[Field]) = (&[], &[]);
        Word { ours, theirs, way: Way::Both, fields, ack, heard: None, told: None, acked: None }
    }

    /// Clients say `theirs` and mean `ours`; an empty `ours`: no home hears it.
    pub const fn heard(theirs: &'static str, ours: &'static str) -> Word {
        Word { way: Way::Heard, ..Word::both(ours, theirs) }
    }

    /// Clients are told `theirs` where we say `ours`; an empty `theirs`: they are not told.
    pub const fn told(ours: &'static str, theirs: &'static str) -> Word {
        Word { way: Way::Told, ..Word::both(ours, theirs) }
    }

    /// What a client is told at once that has said this.
    fn at_once(&self, args: &Args, aside: &mut Aside<'_>) -> Vec<Emission> {
        let Some((change, said)) = self.told.zip(Said::of_args(self.theirs, args)) else { return Vec::new() };
        let mut all = vec![said];
        change(&mut all, aside);
        all.into_iter().map(Said::into_emission).collect()
    }
}

/// Stands for the row of an event that no word is about; one less than what the bits of an ack's id could hold.
const WORDLESS: Answers = Answers(u8::MAX - 1);

/// How many stand-ins of attachments a text has; `None`: one of them is of no attachment.
fn placeholders(array: &[u8], attachments: usize) -> Option<usize> {
    scan_array(array, attachments as u32).ok().map(|scan| scan.placeholders.len())
}

#[cfg(test)]
mod tests;
