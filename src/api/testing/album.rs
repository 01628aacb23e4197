//! An application that takes pictures, for tests of uploads: by scripts in the world of tests, and over real
//! sockets and files.
//!
//! | route | what happens |
//! |---|---|
//! | `POST /album/pictures` | takes a picture of at most 60,000 bytes for somebody (`of`), 201 with what is kept of it |
//! | `POST /album/large` | the same, of at most 90,000 bytes: more than its shelf has room for |
//! | `POST /album/changed` | takes it, and changes its mind at the first piece |
//! | `GET /album/heard` | what the home has heard of files so far |
//! | `GET /album/pictures/{id}` | the picture |

use std::sync::Arc;

use serde_json::json;

use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::identity::Identity;
use crate::app::job::ShelfSettings;
use crate::app::kind::IMAGES;
use crate::app::reply::Reply;
use crate::app::route::{Body, Call, Http, Method, Param, Place, Refused, Route};
use crate::app::settings::Chosen;
use crate::app::table::{Row, Table};
use crate::app::upload::{News, Take};
use crate::app::{Application, Asked, AuthFailure, Context, Home, Refusal, Tally};
use crate::base::ids::{ReqId, Sid};

pub(crate) static TABLE: Table = Table { rows: &[ROW], paths: &[], fixture: &ROW };

pub(crate) const ROW: Row = Row {
    http: Http {
        routes: &[
            route("take", Method::Post, "/pictures", UPLOAD),
            route("large", Method::Post, "/large", UPLOAD),
            route("changed", Method::Post, "/changed", UPLOAD),
            route("heard", Method::Get, "/heard", Body::None),
            Route {
                params: &[Param { name: "id", doc: "", default: None }],
                ..route("show", Method::Get, "/pictures/{id}", Body::None)
            },
        ],
        ..Http::NONE
    },
    ..Row::new("album", "", &["/album"], || {
        Chosen::<()>::with_shelves(|()| Box::new(Album::default()), |()| vec![SHELF])
    })
};

const UPLOAD: Body = Body::Upload { bytes_max: 100_000 };
pub(crate) const SHELF: ShelfSettings = ShelfSettings { name: "pictures", quota_bytes: 80_000, ttl_ms: 3_600_000 };

const fn route(name: &'static str, method: Method, path: &'static str, body: Body) -> Route {
    let home = |_: &_| Ok(Place::At(Home::Tenant("album".to_owned())));
    Route { body, ..Route::new(name, method, path, "", home) }
}

#[derive(Default)]
pub(crate) struct Album {
    heard: Vec<String>,
    changes: Option<ReqId>,
}

impl Album {
    fn on_call(&mut self, cx: &mut Context<'_>, req: ReqId, call: &Call) -> Effect {
        const GONE: Refused = Refused::new(404, "GONE", "");
        let reply = match call.route.name {
            "heard" => Reply::json(200, &self.heard),
            "show" => Reply::blob(SHELF.name, Sid::parse(call.param("id")).unwrap(), GONE),
            _ if call.field("of").is_none() => Reply::json(422, &json!({"error": "of whom?"})),
            name => {
                self.heard.push("taken".to_owned());
                self.changes = (name == "changed").then_some(req);
                let bytes_max = if name == "large" { 90_000 } else { 60_000 };
                let (id, at) = (cx.rng.sid(), cx.now.wall);
                return Effect::Take {
                    req,
                    take: Take { shelf: SHELF.name, id, at, bytes_max, kinds: IMAGES, bounds: &[] },
                };
            }
        };
        Effect::Reply { req, reply }
    }
}

impl Application for Album {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }
    fn home(&self, _: &Identity) -> Home {
        Home::Local
    }
    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Call { req, call } => fx.push(self.on_call(cx, req, &call)),
            AppInput::Upload { req, news: News::Progress { bytes, total } } => {
                self.heard.push(format!("{bytes} of {total:?}"));
                if self.changes == Some(req) {
                    fx.push(Effect::Reply { req, reply: Reply::text(409, "it has enough") });
                }
            }
            AppInput::Upload { req, news: News::Kept(blob) } => {
                self.heard.push("kept".to_owned());
                let kept = json!({"id": blob.id, "mime": blob.mime, "bytes": blob.bytes, "sha256": blob.sha256});
                fx.push(Effect::Reply { req, reply: Reply::json(201, &kept) });
            }
            AppInput::Upload { req, news: News::Failed(fault) } => {
                self.heard.push(format!("{fault:?}"));
                let Refused { status, code, .. } = fault.refused();
                fx.push(Effect::Reply { req, reply: Reply::json(status, &json!({"code": code})) });
            }
            _ => {}
        }
    }
    fn name(&self) -> &'static str {
        "album"
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
}
