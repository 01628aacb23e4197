//! What an application answers by HTTP: a row for each route, from which the daemon finds and judges a call, lists what there
//! is (`siod routes`) and describes it (`/openapi.json`). A call is an event with somewhere to reply: it reaches its home as
//! [`AppInput::Call`](super::event::AppInput::Call) and is answered by [`Effect::Reply`](super::effect::Effect::Reply).

pub mod shell;

use core::any::Any;
use core::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::Home;
use super::asker::{Asker, By};
use super::form::Form;
use super::identity::Identity;
use crate::base::ids::ReqId;
use crate::base::percent;
use crate::base::time::WallMillis;

pub use super::method::Method;
pub use super::refused::{Refused, plain_error};
use shell::Shell;

/// All that an application has to say about HTTP.
#[derive(Debug)]
pub struct Http {
    pub routes: &'static [Route],
    /// Its own page, if it has one.
    pub pages: &'static [Page],
    /// A refusal as its clients know errors, at this time: JSON text.
    pub error: fn(&Refused, WallMillis) -> String,
    /// Commands of the command line, each with verbs that ask routes of the admin listener.
    pub commands: &'static [Command],
}

impl Http {
    /// An application that answers nothing.
    pub const NONE: Http = Http { routes: &[], pages: &[], error: plain_error, commands: &[] };

    /// The route of this name.
    pub fn route(&self, name: &str) -> Option<&'static Route> {
        self.routes.iter().find(|route| route.name == name)
    }
}

/// A file of the application's page, compiled in. GET and HEAD answer it to everybody, under the policy of the daemon's own page:
/// it runs no script but files of its origin, and nothing in it is inline.
#[derive(Debug)]
pub struct Page {
    /// Below `/<application>`; `/` is the page itself.
    pub path: &'static str,
    pub bare: Bare,
    pub mime: &'static str,
    pub text: &'static str,
}

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    /// What handlers and descriptions call it; unique within its application.
    pub name: &'static str,
    pub method: Method,
    /// Below `/<application>`: `/devices/{device}/issue`. A parameter stands for one segment, `{*rest}` for all that follow.
    pub path: &'static str,
    /// One sentence for whoever reads a list of routes.
    pub doc: &'static str,
    pub door: Door,
    /// Where the path is served without `/<application>` in front as well.
    pub bare: Bare,
    pub who: Who,
    /// The parameters of the path, and those of the query that it reads.
    pub params: &'static [Param],
    pub body: Body,
    /// Where it is decided: a pure function of what the call says, asked on the way. A refusal is the answer.
    pub home: fn(&Call) -> Result<Place, Refused>,
    /// The shell that answers instead of a home, which is not looked for then.
    pub shell: Option<&'static dyn Shell>,
}

/// The listeners that serve a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    Public,
    /// Behind the admin listener's guard.
    Admin,
    /// No listener: it is what the application's shell may ask.
    Shell,
}

/// Where a contract fixes a path, clients have it by heart without the application's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bare {
    No,
    /// On listeners whose root the application is.
    AtRoot,
    Everywhere,
}

/// The askers a route lets through. What one of them may ask for is the home's to judge.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Anybody,
    /// An asker with a token that the daemon accepts, by `Authorization: Bearer` or, where a browser cannot send headers
    /// (`<img>`), by `?token=`; else 401.
    Token {
        in_query: bool,
    },
    /// Everybody, who is known by a token that the daemon accepts: by `Authorization: Bearer`, `?token=`, or the cookie that this names, as
    /// far as it names one. In development mode nobody needs a token. Where [`Call::identity`] is `None` none came that is good: the home
    /// says so. A browser sends a cookie whoever makes it ask: [`Call::by_cookie`] and [`Call::origin`] are for judging that.
    Session {
        cookie: fn(&Call) -> Option<String>,
    },
}

/// One parameter, for descriptions and the command line.
#[derive(Debug)]
pub struct Param {
    pub name: &'static str,
    pub doc: &'static str,
    /// What the command line sends unless it is told otherwise.
    pub default: Option<&'static str>,
}

/// What a call brings along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// Nothing; what comes all the same is not read.
    None,
    /// One JSON value: another type is 415, a larger one 413, anything else 400.
    Json { bytes_max: usize },
    /// The bytes as they came, whatever their type, and these headers: a signature is of bytes.
    Raw { bytes_max: usize, headers: &'static [&'static str] },
    /// `multipart/form-data` of fields and, behind them, one file of at most so many bytes; another type is 415, what is not
    /// written so 400. The fields reach the home, which takes the file or does not.
    Upload { bytes_max: u64 },
}

/// A request that a route has let through.
#[derive(Clone, Debug)]
pub struct Call {
    pub route: &'static Route,
    /// Where it is decided, as the route has found.
    pub home: Home,
    /// Values of the path's parameters, decoded, in the order of the path.
    pub values: Vec<String>,
    /// Still percent-encoded.
    pub query: String,
    /// Path and query as they were received, which is what a signature is of; empty in what a shell asks.
    pub target: String,
    /// What the asker calls us, as its request says; empty in what a shell asks.
    pub host: String,
    /// See [`Call::settings`].
    pub chosen: Option<Arc<dyn Any + Send + Sync>>,
    /// Whom the token stands for, where the route asks for one.
    pub identity: Option<Arc<Identity>>,
    /// That token came by a cookie.
    pub by_cookie: bool,
    /// The header `Origin`, where the route asks for a session; empty where none came.
    pub origin: String,
    /// The dialect of the listener it came by, where that is one of the route's application.
    pub dialect: Option<&'static str>,
    /// What the application's shell has found the asker may do beside that.
    pub rights: &'static [&'static str],
    pub ip: IpAddr,
    pub user_agent: String,
    /// The headers that the route has chosen, as far as they came; the last of a name.
    pub headers: Vec<(&'static str, Bytes)>,
    /// As the route's kind of body says.
    pub body: Bytes,
    /// What comes before the file of an upload.
    pub form: Option<Box<Form>>,
}

/// Where a call is decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    At(Home),
    /// By each of these. The answer names them: `{"homes":{"a":…},"missing":["b"]}`, and is 200 unless one of them has failed or does
    /// not answer.
    Each(Vec<Home>),
}

/// A command of the command line: `siod device issue p1` asks the running daemon for what a route of the admin listener does.
#[derive(Debug)]
pub struct Command {
    pub name: &'static str,
    pub doc: &'static str,
    pub verbs: &'static [Verb],
}

/// What one can do with it. The parameters of the route's path are the verb's arguments, those of its query are options.
#[derive(Debug)]
pub struct Verb {
    pub name: &'static str,
    pub doc: &'static str,
    /// The name of the route that it asks.
    pub route: &'static str,
}

impl Route {
    /// A public route without a body, for anybody. One that differs says so: `Route { body: …, ..Route::new(…) }`.
    pub const fn new(
        name: &'static str,
        method: Method,
        path: &'static str,
        doc: &'static str,
        home: fn(&Call) -> Result<Place, Refused>,
    ) -> Route {
        let (door, bare, who, params, body) = (Door::Public, Bare::No, Who::Anybody, &[], Body::None);
        Route { name, method, path, doc, door, bare, who, params, body, home, shell: None }
    }

    /// As [`Route::new`], answered by the application's shell.
    pub const fn of_shell(
        name: &'static str,
        method: Method,
        path: &'static str,
        doc: &'static str,
        shell: &'static dyn Shell,
    ) -> Route {
        let no_home = |_: &_| Err(Refused::new(500, "INTERNAL", "the application's shell answers this, and no home"));
        Route { shell: Some(shell), ..Route::new(name, method, path, doc, no_home) }
    }

    /// Names of the parameters in the path, in order.
    pub fn in_path(&self) -> impl Iterator<Item = &'static str> {
        in_path(self.path)
    }

    /// The parameters that it reads from the query.
    pub fn in_query(&self) -> impl Iterator<Item = &'static Param> {
        self.params.iter().filter(|param| !self.in_path().any(|name| name == param.name))
    }

    /// Whether it is served bare on a listener with this root, as an application called `owner`.
    pub fn is_bare(&self, owner: &str, root: Option<&str>) -> bool {
        self.bare.holds(owner, root)
    }
}

impl Bare {
    /// Whether it holds on a listener with this root, for an application called `owner`.
    pub fn holds(self, owner: &str, root: Option<&str>) -> bool {
        match self {
            Bare::No => false,
            Bare::AtRoot => root == Some(owner),
            Bare::Everywhere => true,
        }
    }
}

impl Call {
    /// A call of this route from this address that says nothing yet.
    pub fn of(route: &'static Route, ip: IpAddr) -> Call {
        Call {
            route,
            home: Home::Local,
            values: Vec::new(),
            query: String::new(),
            target: String::new(),
            host: String::new(),
            chosen: None,
            identity: None,
            by_cookie: false,
            origin: String::new(),
            dialect: None,
            rights: &[],
            ip,
            user_agent: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            form: None,
        }
    }

    /// The one who asks by it.
    pub fn asker(&self, req: ReqId) -> Asker {
        Asker { by: By::Call(req), identity: self.identity.clone(), rights: self.rights }
    }

    /// A parameter of the path; empty where the route has none of this name.
    pub fn param(&self, name: &str) -> &str {
        let index = self.route.in_path().position(|known| known == name);
        index.and_then(|index| self.values.get(index)).map_or("", |value| value)
    }

    /// The decoded value of one query parameter (`+` is a space, last duplicate wins).
    pub fn query_value(&self, name: &str) -> Option<String> {
        percent::value(&self.query, name)
    }

    /// The settings of the route's application, for its home functions and its shell: neither has a value of the application.
    pub fn settings<S: 'static>(&self) -> Option<&S> {
        self.chosen.as_ref()?.downcast_ref()
    }

    /// A chosen header, if it came.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &value[..])
    }

    /// A field of an upload, if it came before the file.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.as_ref()?.field(name)
    }

    /// The body read as `T`; `None` if it is of another shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Bytes that it holds.
    pub fn size_bytes(&self) -> usize {
        let values: usize = self.values.iter().map(String::len).sum();
        let headers: usize = self.headers.iter().map(|(_, value)| value.len()).sum();
        let form = self.form.as_ref().map_or(0, |form| form.size_bytes());
        form + values
            + headers
            + self.query.len()
            + self.target.len()
            + self.host.len()
            + self.origin.len()
            + self.user_agent.len()
            + self.body.len()
    }
}

/// Names of the parameters in a path, in order.
pub(super) fn in_path(path: &'static str) -> impl Iterator<Item = &'static str> {
    let name = |segment: &'static str| segment.strip_prefix('{')?.strip_suffix('}');
    path.split('/').filter_map(name).map(|name| name.trim_start_matches('*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Route = Route {
        bare: Bare::AtRoot,
        params: &[
            Param { name: "one", doc: "", default: None },
            Param { name: "rest", doc: "", default: None },
            Param { name: "limit", doc: "", default: Some("1") },
        ],
        ..Route::new("r", Method::Get, "/a/{one}/b/{*rest}", "", |_| Ok(Place::At(Home::Local)))
    };

    #[test]
    fn parameters_are_of_the_path_or_of_the_query() {
        assert!(ROUTE.in_path().eq(["one", "rest"]));
        assert!(ROUTE.in_query().map(|param| param.name).eq(["limit"]));
    }

    #[test]
    fn a_bare_path_is_of_its_root() {
        for (bare, own, other, none) in
            [(Bare::No, false, false, false), (Bare::AtRoot, true, false, false), (Bare::Everywhere, true, true, true)]
        {
            let route = Route { bare, ..ROUTE };
            let is_bare = |root| route.is_bare("x", root);
            assert_eq!((is_bare(Some("x")), is_bare(Some("y")), is_bare(None)), (own, other, none), "{bare:?}");
        }
    }
}
