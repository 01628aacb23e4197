//! Layer 7: what HTTP callers see beside the engine. Two routers on the control runtime: [`public`] answers on every listener
//! for the paths that are not an engine path, [`admin()`] on the admin listener only. They reach the daemon through
//! [`backend::Backend`] alone.
//!
//! | file | paths |
//! |---|---|
//! | `health` | `/health/live` `/health/ready` `/health` `/health/socket`, and `/health/detailed` for operators |
//! | `page` | `/` and its files under `/_siod/` |
//! | `client_files` | `/socket.io/socket.io.js` and its seven siblings |
//! | `snapshots` | `/signage/snapshots/{id}` |
//! | `metrics` | `/metrics`, admin only |
//! | `admin` | the guard; `/drain`, `/signage/devices…`, `/signage/failures` |
//!
//! Deliberately absent: CORS on anything but the client files. A page of another origin has no business here.

pub mod admin;
pub mod backend;
pub mod client_files;
pub mod health;
pub mod metrics;
pub mod page;
mod process;
mod reply;
pub mod snapshots;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;

use backend::Backend;

use crate::app::metric::Family;
use crate::base::secret::Secret;

/// What the routes share.
#[derive(Clone)]
pub struct Api {
    pub backend: Arc<dyn Backend>,
    pub settings: Arc<Settings>,
}

/// What the configuration says about this side of the daemon.
#[derive(Clone, Debug)]
pub struct Settings {
    pub started: Instant,
    pub started_at: SystemTime,
    /// Shown on the page.
    pub served: Served,
    /// Engine paths of the listeners, each with its trailing slash: the client files are served beneath them.
    pub engine_paths: Vec<String>,
    /// Where the browser bundles of the official client lie; `None`: not served.
    pub client_dir: Option<PathBuf>,
    /// Token of the admin listener; empty: loopback only.
    pub admin_token: Secret,
    /// The families of each application that is served.
    pub metrics: Vec<&'static [Family]>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            started: Instant::now(),
            started_at: SystemTime::now(),
            served: Served::default(),
            engine_paths: vec!["/socket.io/".to_owned()],
            client_dir: None,
            admin_token: Secret::default(),
            metrics: Vec::new(),
        }
    }
}

/// What is served where, for the page.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Served {
    pub applications: Vec<ServedApplication>,
    pub listeners: Vec<ServedListener>,
    /// `dev` or `jwt`.
    pub auth_mode: String,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct ServedApplication {
    pub name: String,
    pub namespaces: Vec<String>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct ServedListener {
    pub bind: String,
    /// The application that `/` maps to, or `none`.
    pub root: String,
    pub paths: Vec<String>,
}

/// The daemon's version, as `Cargo.toml` has it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every listener answers beside the engine. `/metrics`, `/admin`, `/debug` and all else are 404 here.
pub fn public(api: Api) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(page::routes())
        .merge(snapshots::routes())
        .merge(client_files::routes(&api.settings))
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::map_response(reply::nosniff))
        .with_state(api)
}

/// What the admin listener answers, behind its guard. The server puts `ConnectInfo<SocketAddr>` into each request's extensions.
pub fn admin(api: Api) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(health::detailed_routes())
        .merge(metrics::routes())
        .merge(admin::routes())
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(api.clone(), admin::guard))
        .layer(axum::middleware::map_response(reply::nosniff))
        .with_state(api)
}

#[cfg(test)]
pub(crate) mod testing;
