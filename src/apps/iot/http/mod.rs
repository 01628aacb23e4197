//! What iot answers by HTTP: the table of routes with who may ask each, where a call is decided, and how it comes to its handler. `envelope` is
//! the form of every answer; the others are the routes by what they are about.

mod connections;
pub(in crate::apps::iot) mod control;
mod credentials;
mod devices;
pub(in crate::apps::iot) mod envelope;
mod logs;
mod manager;
mod operation;
mod stored;
pub(in crate::apps::iot) mod wanted;

use self::envelope::{Refusal, refuse};
use super::connect::DEFAULT_SYSTEM;
use super::settings::{Join, Settings};
use super::turn::Turn;
use super::who::{Asker, FORBIDDEN, Level, NO_SYSTEM, Rights, UNAUTHENTICATED, fail, is_system, system_of};
use crate::app::Home;
use crate::app::effect::Effect;
use crate::app::identity::AuthMethod;
use crate::app::kit::audit::Actor;
use crate::app::reply::Reply;
use crate::app::route::{Bare, Body, Call, Http, Method, Place, Refused, Route, Who};
use crate::base::ids::ReqId;
use crate::base::origin::Origin;

/// For the row of the table of applications.
pub(crate) const HTTP: Http = Http {
    routes: &[
        get("manager", "/api/websocket/manager", "Figures, health and connections, by ?action=."),
        post("manager-act", "/api/websocket/manager", "Starts or stops the connection of a credential."),
        get("connections", "/api/websocket/connections", "Connections, page by page."),
        post("connections-act", "/api/websocket/connections", "A row about a connection of a dashboard's own."),
        of(Method::Delete, "connections-clean", "/api/websocket/connections", "Old rows of connections go."),
        get("logs", "/api/websocket/logs", "Rows of connections' logs, the newest first."),
        post("logs-act", "/api/websocket/logs", "Rows of logs go."),
        get("logs-stats", "/api/websocket/logs/stats", "How many rows there are of what."),
        get("logging", "/api/websocket/{id}/logging", "Whether a connection has a log."),
        of(Method::Put, "logging-set", "/api/websocket/{id}/logging", "Whether a connection is to have a log."),
        post("act", "/api/websocket/{id}/{action}", "start, stop, restart, toggle-reconnect or refresh-token."),
        get("internal-connections", "/api/internal/websocket-connections", "Connections with their logs."),
        open(get("init", "/api/socket/init", "The server is there.")),
        open(post("init-post", "/api/socket/init", "The server is there.")),
        open(get("monitor", "/api/socket/start-monitoring", "Devices are being watched.")),
        open(post("monitor-post", "/api/socket/start-monitoring", "Devices are being watched.")),
        post("control", "/api/shelly/device/{id}/control", "Switches a device."),
        get("status", "/api/shelly/device/{id}/status", "What is known of a device."),
        get("devices", "/api/internal/smart-plug-devices", "Devices, page by page."),
        post("claim", "/api/internal/smart-plug-devices", "A device is this system's."),
        of(Method::Patch, "amend", "/api/internal/smart-plug-devices/{id}", "Its name and what it is assigned to."),
        of(Method::Delete, "drop", "/api/internal/smart-plug-devices/{id}", "A device is nobody's any more."),
        post(
            "appointment-only",
            "/api/internal/smart-plug-devices/{id}/toggle-appointment-only",
            "Whether it is for appointments alone.",
        ),
        post(
            "auto-shutdown",
            "/api/internal/smart-plug-devices/{id}/toggle-auto-shutdown",
            "Whether it is switched off by itself.",
        ),
        post("connect", "/api/shelly/connect", "An account of the Shelly cloud."),
        get("credentials", "/api/shelly/credentials", "The accounts, without their secrets."),
        of(Method::Delete, "credential-drop", "/api/shelly/credentials/{id}", "An account goes."),
        post("credential-reconnect", "/api/shelly/credentials/{id}/reconnect", "Its token is renewed."),
        post("credential-start", "/api/shelly/credentials/{id}/connect-websocket", "Its socket opens."),
        post("credential-stop", "/api/shelly/credentials/{id}/disconnect-websocket", "Its socket closes."),
        post("sync", "/api/shelly/sync/{id}", "The devices of an account become rows."),
        get("figures", "/api/shelly/metrics", "Figures of the accounts' sockets."),
        get("upstreams", "/api/shelly/connections", "The accounts' sockets."),
        get("active", "/api/internal/shelly/active-credentials", "Whether a system has accounts."),
        post("secret", "/api/shelly/outbound-secret", "A new secret by which devices come in."),
        of(Method::Delete, "secret-revoke", "/api/shelly/outbound-secret", "No secret is good any more."),
        get("unclaimed", "/api/shelly/unclaimed", "Devices that came and are nobody's."),
        get("audit", "/api/internal/audit", "Who did what."),
    ],
    error: envelope::error,
    ..Http::NONE
};

/// How a handler answers: now, later (`None`), or not as asked.
pub(in crate::apps::iot) type Answer = Result<Option<Reply>, Refusal>;

/// Somebody asks, and for what.
pub(in crate::apps::iot) struct Ask<'a> {
    pub asker: Asker,
    pub call: &'a Call,
}

impl Ask<'_> {
    /// What the path names.
    pub(super) fn id(&self) -> &str {
        self.call.param("id")
    }
}

type Run = fn(&mut Turn<'_>, &Ask<'_>) -> Answer;

/// The least that may ask each route, and its handler.
const WAYS: &[(&str, Level, Run)] = &[
    ("manager", Level::Viewer, manager::show),
    ("manager-act", Level::Admin, manager::act),
    ("connections", Level::Viewer, connections::list),
    ("connections-act", Level::Admin, connections::put),
    ("connections-clean", Level::Admin, connections::clean),
    ("logs", Level::Operator, logs::list),
    ("logs-act", Level::Admin, logs::act),
    ("logs-stats", Level::Operator, logs::stats),
    ("logging", Level::Operator, connections::logging),
    ("logging-set", Level::Admin, connections::set_logging),
    ("act", Level::Admin, connections::act),
    ("internal-connections", Level::Viewer, logs::internal),
    ("init", Level::Viewer, operation::init),
    ("init-post", Level::Viewer, operation::init),
    ("monitor", Level::Viewer, operation::monitor),
    ("monitor-post", Level::Viewer, operation::monitor),
    ("control", Level::Operator, control::control),
    ("status", Level::Viewer, control::status),
    ("devices", Level::Viewer, devices::list),
    ("claim", Level::Admin, devices::claim),
    ("amend", Level::Admin, devices::amend),
    ("drop", Level::Admin, devices::drop_device),
    ("appointment-only", Level::Operator, devices::appointment_only),
    ("auto-shutdown", Level::Operator, devices::auto_shutdown),
    ("connect", Level::Admin, credentials::connect),
    ("credentials", Level::Viewer, credentials::list),
    ("credential-drop", Level::Admin, credentials::drop_credential),
    ("credential-reconnect", Level::Admin, credentials::reconnect),
    ("credential-start", Level::Admin, credentials::start),
    ("credential-stop", Level::Admin, credentials::stop),
    ("sync", Level::Admin, credentials::sync),
    ("figures", Level::Viewer, manager::figures),
    ("upstreams", Level::Viewer, manager::upstreams),
    ("active", Level::Viewer, credentials::active),
    ("secret", Level::Admin, operation::secret),
    ("secret-revoke", Level::Admin, operation::revoke),
    ("unclaimed", Level::Admin, operation::unclaimed),
    ("audit", Level::Admin, operation::audit),
];

impl Turn<'_> {
    /// Somebody asks by HTTP.
    pub(in crate::apps::iot) fn on_http_call(&mut self, req: ReqId, call: &Call) {
        let reply = match self.answer_call(req, call) {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(refusal) => refuse(call.route.path, &refusal),
        };
        self.fx.push(Effect::Reply { req, reply });
    }

    fn answer_call(&mut self, req: ReqId, call: &Call) -> Answer {
        let name = call.route.name;
        let Some(identity) = &call.identity else {
            let is_open = self.settings.join == Join::Open;
            let opens = matches!(name, "init" | "init-post" | "monitor" | "monitor-post") && is_open;
            return if opens { Ok(Some(operation::nobody(name))) } else { Err(fail(UNAUTHENTICATED).into()) };
        };
        if is_foreign(call) {
            return Err(fail(FORBIDDEN).into());
        }
        if self.system.name.is_empty() {
            return Err(fail(NO_SYSTEM).into());
        }
        let Some((_, level, run)) = WAYS.iter().find(|(known, ..)| *known == name) else {
            return Err(fail(super::who::NOT_FOUND).into());
        };
        Rights::of(identity).reach(*level)?;
        let actor =
            Actor { sub: identity.sub().to_owned(), ip: call.ip.to_string(), user_agent: call.user_agent.clone() };
        run(self, &Ask { asker: Asker { actor, req }, call })
    }
}

/// A page of somebody else's has made a browser ask, with the cookie that it keeps for us.
fn is_foreign(call: &Call) -> bool {
    let own = Origin::parse(&call.origin).is_some_and(|origin| origin.is_of_host(&call.host));
    let listed = call.settings::<Settings>().is_some_and(|settings| settings.open_origins.contains(&call.origin));
    call.by_cookie && call.route.method != Method::Get && !own && !listed
}

/// A call is decided at the home of its system; one of nobody's, where it came in.
fn home(call: &Call) -> Result<Place, Refused> {
    let Some(identity) = &call.identity else { return Ok(Place::At(Home::Local)) };
    let named = (identity.method == AuthMethod::Dev).then(|| call.query_value("systemId")).flatten();
    let system = named.filter(|system| !system.is_empty()).or_else(|| system_of(identity).map(str::to_owned));
    let system = system.or_else(|| (identity.method == AuthMethod::Dev).then(|| DEFAULT_SYSTEM.to_owned()));
    let system = system.filter(|system| is_system(system) && !is_foreign(call));
    Ok(Place::At(system.map_or(Home::Local, Home::Tenant)))
}

/// The cookie by which the settings say that tokens come.
fn cookie(call: &Call) -> Option<String> {
    let name = &call.settings::<Settings>()?.session_cookie;
    (!name.is_empty()).then(|| name.clone())
}

const fn of(method: Method, name: &'static str, path: &'static str, doc: &'static str) -> Route {
    let (who, body) = (Who::Session { cookie }, Body::Raw { bytes_max: BODY_BYTES_MAX, headers: &[] });
    Route { who, body, bare: Bare::AtRoot, ..Route::new(name, method, path, doc, home) }
}

const fn get(name: &'static str, path: &'static str, doc: &'static str) -> Route {
    Route { body: Body::None, ..of(Method::Get, name, path, doc) }
}

const fn post(name: &'static str, path: &'static str, doc: &'static str) -> Route {
    of(Method::Post, name, path, doc)
}

/// Served bare on every listener.
const fn open(route: Route) -> Route {
    Route { bare: Bare::Everywhere, ..route }
}

/// Characters of a device's name.
pub(in crate::apps::iot) const NAME_CHARS_MAX: usize = 100;
const BODY_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_way() {
        let routes: Vec<&str> = HTTP.routes.iter().map(|route| route.name).collect();
        let ways: Vec<&str> = WAYS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(routes, ways);
    }
}
