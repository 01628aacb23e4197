//! Layer 5: the applications. Each is a value that turns what happened ([`event::AppInput`]) into what should happen
//! ([`effect::Effects`]); none of them sees a frame, a transport, a clock or a file.

pub mod asker;
pub mod effect;
pub mod event;
pub mod fetch;
pub mod form;
pub mod hash;
pub mod home;
pub mod identity;
pub mod job;
pub mod kind;
pub mod kit;
pub mod link;
mod method;
pub mod metric;
pub mod note;
mod refused;
pub mod reply;
pub mod route;
pub mod settings;
pub mod sql;
pub mod table;
pub mod upload;

use std::sync::Arc;

use crate::app::effect::Effects;
use crate::app::event::{AppInput, Handshake};
use crate::app::identity::{Authenticator, Identity};
use crate::app::job::{Job, Outcome};
use crate::app::kit::ack::AckStyle;
use crate::app::metric::Metric;
use crate::base::rng::Rng;
use crate::base::time::Now;

/// Where the handlers of one socket run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Home {
    /// On the socket's own shard: the application keeps no state that two sockets share.
    Local,
    /// On the one shard that this key hashes to: all that an application decides about a tenant is decided there.
    Tenant(String),
}

/// Something an application decides about, loaded whole from the store before the first decision. A string such as
/// `fleet/default`; unique within its application.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Entity(pub String);

/// A handler's own name for something it will hear of again (a timer, a job, an ack). Opaque to everybody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// What a handler may read beside its own state and its input.
pub struct Context<'a> {
    pub now: Now,
    pub rng: &'a mut Rng,
    /// Reads tokens and makes them.
    pub authenticator: &'a Authenticator,
}

/// What the CONNECT and the handshake say beside the token.
pub struct Asked<'a> {
    /// JSON text of the CONNECT packet's auth object, `{}` if none.
    pub auth: &'a [u8],
    pub handshake: &'a Handshake,
}

/// Why no identity came of a token. Clients get the same text for all but `Missing`, so that a guess teaches nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthFailure {
    Missing,
    Invalid,
    Expired,
}

/// A CONNECT_ERROR: the exact message, and `data` as JSON text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub message: String,
    pub data: Option<String>,
}

/// One application. One value of it lives on every shard and decides for the tenants whose home that shard is.
pub trait Application: Send {
    /// Decides, on the socket's shard and purely, who a CONNECT is: `verified` is what the daemon made of the token
    /// (DESIGN 5.3). Most applications turn a failure into a refusal with their own exact text; one that has tokens of
    /// its own lets it pass as `AuthMethod::Application` and judges at the home.
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, asked: &Asked<'_>) -> Result<Arc<Identity>, Refusal>;

    /// Where a socket of this identity is decided. Pure; asked on the socket's shard, at CONNECT and whenever it is identified
    /// anew.
    fn home(&self, identity: &Identity) -> Home;

    /// The dialect of a socket, by its name among those of the application's row; `configured` is that of its listener. Asked on
    /// the socket's shard when it has been admitted or refused, and pure. Unless an application says otherwise, its listeners decide.
    fn dialect(&self, _: &Asked<'_>, configured: Option<&'static str>) -> Option<&'static str> {
        configured
    }

    /// How long before a token's end the application wants to speak ([`AppInput::Expiring`]); 0: at the end only. `None`: the
    /// socket ends without a word.
    fn expiry_notice_ms(&self) -> Option<u64> {
        None
    }

    /// Whether the application wants to hear that clients answer pings ([`AppInput::Heard`]): one input for each socket and ping.
    fn hears_pongs(&self) -> bool {
        false
    }

    /// How acks are spelled, for the one that the frame itself gives: `BUSY`, where too much waits.
    fn ack_style(&self) -> AckStyle {
        AckStyle::Result
    }

    /// The entity an input is about. While it is not loaded, or a commit of it is on its way, the input parks
    /// (bounded, in order) and runs afterwards. `None`: runs at once.
    fn entity(&self, _input: &AppInput) -> Option<Entity> {
        None
    }

    /// Whether what an input is about is in memory. Asked first, while nothing is parked: then nobody needs its name.
    fn has_loaded(&self, _input: &AppInput) -> bool {
        false
    }

    /// The job that loads `entity`, or `None` when it is in memory already.
    fn load(&mut self, _entity: &Entity) -> Option<Job> {
        None
    }

    /// Takes in what [`Application::load`] asked for. After this the entity counts as loaded, whatever the outcome:
    /// where loading failed the application serves from memory and says so (`degraded`).
    fn loaded(&mut self, _cx: &mut Context<'_>, _entity: &Entity, _outcome: Outcome, _fx: &mut Effects) {}

    /// Decides. Everything that should happen goes into `fx`, in order.
    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects);

    /// `lab`, `signage`, …: what metrics and logs call it.
    fn name(&self) -> &'static str;

    /// What came of the events it was handed, since start.
    fn tally(&self) -> Tally;

    /// Samples for a scrape, of the families that the application's row of the table names.
    fn metrics(&self, _out: &mut Vec<Metric>) {}
}

/// Events of one application on one shard, by what came of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub handled: u64,
    /// Refused by the application's rules.
    pub rejected: u64,
    /// Not in the application's table of events.
    pub unknown: u64,
}
