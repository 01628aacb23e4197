//! Layer 7: what HTTP callers see beside the engine. Two routers on the control runtime: [`public`] answers on every listener
//! for the paths that are not an engine path, [`admin()`] on the admin listener only. They reach the daemon through
//! [`backend::Backend`] alone.
//!
//! | file | paths |
//! |---|---|
//! | `health` | `/health/live` `/health/ready` `/health` `/health/socket`, and `/health/detailed` for operators |
//! | `static_root` | on a listener that has such a directory its files; what follows only where it has none |
//! | `page` | `/` and its files under `/_siod/` |
//! | `client_files` | `/socket.io/socket.io.js` and its seven siblings |
//! | `metrics` | `/metrics`, admin only |
//! | `admin` | the guard; `/drain` |
//! | `calls`, `routes`, `answer`, `blob`, `stream` | the routes of applications, `/<application>/…` |
//! | `upload`, `form` | those of them that take a file |
//! | `shell` | those of them that the application's own shell answers |
//! | `range` | none by itself: what of a file or a blob a request wants |
//! | `openapi` | `/openapi.json`: those of the listener |
//!
//! Deliberately absent: CORS on anything but the client files. A page of another origin has no business here.

pub(crate) mod admin;
mod answer;
pub(crate) mod backend;
mod blob;
mod calls;
pub(crate) mod client_files;
pub(crate) mod form;
pub(crate) mod health;
pub(crate) mod metrics;
mod openapi;
pub(crate) mod page;
mod process;
mod range;
mod reply;
pub(crate) mod routes;
mod shell;
pub(crate) mod static_root;
mod stream;
mod upload;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use crate::app::metric::Family;
use crate::app::route::Door;
use crate::app::table::Row;
use crate::base::limit::{BODY_TIMEOUT_MS, CALL_TIMEOUT_MS, SHELL_TIMEOUT_MS};
use crate::base::secret::Secret;

use backend::Backend;
use routes::{Own, Routes};

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Api {
    pub backend: Arc<dyn Backend>,
    pub settings: Arc<Settings>,
}

/// What the configuration says about this side of the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub started: Instant,
    pub started_at: SystemTime,
    /// Shown on the page.
    pub served: Served,
    /// Engine paths of the listeners, each with its trailing slash: the client files are served beneath them.
    pub engine_paths: Vec<String>,
    /// Where the browser bundles of the official client lie; `None`: not served.
    pub client_dir: Option<PathBuf>,
    /// By listener: the directory that is served there instead of the page.
    pub static_roots: Vec<Option<Arc<static_root::Root>>>,
    /// By listener: an application and the dialect that is spoken to it there.
    pub dialects: Vec<Option<(&'static str, &'static str)>>,
    /// Token of the admin listener; empty: loopback only.
    pub admin_token: Secret,
    /// The families of each application that is served.
    pub metrics: Vec<&'static [Family]>,
    /// Those that are served.
    pub applications: Vec<&'static Row>,
    /// The settings of each of them, by its name.
    pub chosen: Vec<(&'static str, Arc<dyn Any + Send + Sync>)>,
    /// How long a call waits for its home's first answer.
    pub call_timeout: Duration,
    /// How long an application's shell may take to answer.
    pub shell_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            started: Instant::now(),
            started_at: SystemTime::now(),
            served: Served::default(),
            engine_paths: vec!["/socket.io/".to_owned()],
            client_dir: None,
            static_roots: Vec::new(),
            dialects: Vec::new(),
            admin_token: Secret::default(),
            metrics: Vec::new(),
            applications: Vec::new(),
            chosen: Vec::new(),
            call_timeout: Duration::from_millis(CALL_TIMEOUT_MS),
            shell_timeout: Duration::from_millis(SHELL_TIMEOUT_MS),
            body_timeout: Duration::from_millis(BODY_TIMEOUT_MS),
        }
    }
}

impl Settings {
    /// The settings of an application that is served.
    fn of(&self, app: &str) -> Option<Arc<dyn Any + Send + Sync>> {
        self.chosen.iter().find(|(name, _)| *name == app).map(|(_, settings)| settings.clone())
    }
}

/// What is served where, for the page.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Served {
    pub applications: Vec<ServedApplication>,
    pub listeners: Vec<ServedListener>,
    /// `dev` or `jwt`.
    pub auth_mode: String,
}

#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct ServedApplication {
    pub name: String,
    pub namespaces: Vec<String>,
    /// Where its page is, if it has one.
    pub page: Option<String>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct ServedListener {
    pub bind: String,
    /// The application that `/` maps to, or `none`.
    pub root: String,
    pub paths: Vec<String>,
}

/// The daemon's version, as `Cargo.toml` has it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The daemon's own paths, for whoever lists all there are. Client files lie below each engine path.
pub(crate) const OWN: &[Own] = &[
    own(Door::Public, "GET", "/", "The page."),
    own(Door::Public, "GET", "/health", "Readiness, uptime, version."),
    own(Door::Public, "GET", "/health/live", "The process answers."),
    own(Door::Public, "GET", "/health/ready", "Whether it takes clients."),
    own(Door::Public, "GET", "/health/socket", "Connections and rooms, for probes that exist."),
    own(Door::Public, "GET", "/openapi.json", "What this listener serves for applications."),
    own(Door::Admin, "GET", "/health/detailed", "Health, shard by shard."),
    own(Door::Admin, "GET", "/metrics", "Figures for Prometheus."),
    own(Door::Admin, "GET", "/openapi.json", "What this listener serves for applications."),
    own(Door::Admin, "POST", "/drain", "Begins the drain, as SIGTERM does."),
];

const fn own(door: Door, method: &'static str, path: &'static str, doc: &'static str) -> Own {
    Own { door, method, path, doc }
}

/// What every listener with this root answers beside the engine. `/metrics`, `/admin`, `/debug` and all else are 404 here.
/// The server puts the `ListenerId` and `ConnectInfo<SocketAddr>` into each request's extensions, the latter for [`admin()`], too.
pub(crate) fn public(api: Api, root: Option<&'static str>) -> Router {
    let pages = page::routes()
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(api.clone(), static_root::serve))
        .with_state(api.clone());
    let own = Router::new().merge(health::routes()).merge(client_files::routes(&api.settings)).fallback_service(pages);
    with_applications(own, &api, Door::Public, root)
        .merge(page::of_applications(&api.settings.applications, root))
        .layer(axum::middleware::map_response(reply::nosniff))
        .with_state(api)
}

/// What the admin listener answers, behind its guard.
pub(crate) fn admin(api: Api) -> Router {
    let own = Router::new()
        .merge(health::routes())
        .merge(health::detailed_routes())
        .merge(metrics::routes())
        .merge(admin::routes())
        .fallback(reply::not_found);
    with_applications(own, &api, Door::Admin, None)
        .layer(axum::middleware::from_fn_with_state(api.clone(), admin::guard))
        .layer(axum::middleware::map_response(reply::nosniff))
        .with_state(api)
}

/// Routes of applications come first: a contract may fix a path that the daemon has, too.
fn with_applications(own: Router<Api>, api: &Api, door: Door, root: Option<&'static str>) -> Router<Api> {
    let rows = &api.settings.applications;
    let description = openapi::describe(&routes::served(rows, door, root)).to_string();
    let routes = Arc::new(Routes::of(rows, door, root));
    own.route("/openapi.json", get(async move || reply::json(StatusCode::OK, description)))
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state((api.clone(), routes), calls::answer))
}

#[cfg(test)]
pub(crate) mod testing;
