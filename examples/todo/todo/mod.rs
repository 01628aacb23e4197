//! todo: one list for each tenant. Everybody of the tenant sees what is added to it and what is done, once it is on disk.
//!
//! | event | what comes of it |
//! |---|---|
//! | *connection* | `todo:list {items: [{id, text, done}]}` to the client |
//! | `todo:add {text}` | `todo:added {id, text, done}` to the whole list; acked with the same |
//! | `todo:done {id}` | `todo:done {id, text, done}` to the whole list; acked with the same |
//!
//! `GET /todo/items` answers with the list of the token's tenant. Reading order: this file → `events` → `tables` → `page/`.

mod events;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use siod::app::effect::{Effect, Effects};
use siod::app::event::{AppInput, Connect};
use siod::app::identity::Identity;
use siod::app::job::{Job, Outcome};
use siod::app::kit::events::dispatch;
use siod::app::reply::Reply;
use siod::app::route::{Bare, Http, Method, Page, Place, Route, Who};
use siod::app::settings::Chosen;
use siod::app::table::Row;
use siod::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally, Token};

use events::{Events, Turn};
use tables::Item;

/// Its line in the table of applications.
pub(crate) const ROW: Row = Row {
    tables: Some(&tables::TABLES),
    http: Http {
        routes: &[Route {
            who: Who::Token { in_query: false },
            ..Route::new("items", Method::Get, "/items", "The list.", |call| {
                Ok(Place::At(home(call.identity.as_deref())))
            })
        }],
        pages: &[
            Page { path: "/", bare: Bare::No, mime: "text/html; charset=utf-8", text: include_str!("page/index.html") },
            Page { path: "/todo.js", bare: Bare::No, mime: "text/javascript", text: include_str!("page/todo.js") },
        ],
        ..Http::NONE
    },
    ..Row::new("todo", "A todo list for each tenant.", &["/todo"], || {
        Chosen::<()>::untold(|()| Box::new(Todo::default()))
    })
};

/// The lists at home on one shard, each loaded when its first client comes.
#[derive(Default)]
pub(crate) struct Todo {
    lists: BTreeMap<String, List>,
    /// The list and the item of each write on its way, by token.
    writing: BTreeMap<u64, (String, Item)>,
    next_token: u64,
    tally: Tally,
}

/// What one tenant has to do, by the items' numbers.
type List = BTreeMap<u64, Item>;

fn tenant(identity: Option<&Identity>) -> &str {
    identity.and_then(Identity::tenant_id).unwrap_or("default")
}

fn home(identity: Option<&Identity>) -> Home {
    Home::Tenant(tenant(identity).to_owned())
}

impl Application for Todo {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        verified.map_err(|_| Refusal { message: "Not without a token".to_owned(), data: None })
    }

    fn home(&self, identity: &Identity) -> Home {
        home(Some(identity))
    }

    fn entity(&self, input: &AppInput) -> Option<Entity> {
        let tenant = match input {
            AppInput::Connect(connect) => tenant(Some(&connect.identity)),
            AppInput::Event(event) => tenant(Some(&event.identity)),
            AppInput::Call { call, .. } => tenant(call.identity.as_deref()),
            _ => return None,
        };
        Some(Entity(tenant.to_owned()))
    }

    fn load(&mut self, entity: &Entity) -> Option<Job> {
        (!self.lists.contains_key(&entity.0)).then(|| Job::Read(vec![tables::items(&entity.0)]))
    }

    fn loaded(&mut self, _: &mut Context<'_>, entity: &Entity, outcome: Outcome, fx: &mut Effects) {
        let items = outcome.rows::<Item>(0).unwrap_or_else(|error| {
            fx.push(Effect::Alert { kind: "list_not_loaded", text: format!("list {}: {}", entity.0, error.text) });
            Vec::new()
        });
        self.lists.insert(entity.0.clone(), items.into_iter().map(|item| (item.id, item)).collect());
    }

    fn handle(&mut self, cx: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        match input {
            AppInput::Connect(connect) => self.on_connect(&connect, fx),
            AppInput::Event(event) => {
                let tenant = tenant(Some(&event.identity)).to_owned();
                let list = self.lists.entry(tenant.clone()).or_default();
                let token = Token(self.next_token);
                let mut turn =
                    Turn { now: cx.now, tenant: &tenant, list, token, written: None, tally: &mut self.tally, fx };
                dispatch::<Events>(&mut turn, &event);
                if let Some(item) = turn.written {
                    self.writing.insert(token.0, (tenant, item));
                    self.next_token += 1;
                }
            }
            AppInput::Done { token, outcome } => {
                if let (Some((tenant, item)), true) = (self.writing.remove(&token.0), outcome.is_written()) {
                    self.lists.entry(tenant).or_default().insert(item.id, item);
                }
            }
            AppInput::Call { req, call } => {
                let list = self.lists.get(tenant(call.identity.as_deref()));
                let items: Vec<&Item> = list.into_iter().flat_map(BTreeMap::values).collect();
                fx.push(Effect::Reply { req, reply: Reply::json(200, &json!({"items": items})) });
            }
            _ => {}
        }
    }

    fn name(&self) -> &'static str {
        "todo"
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

impl Todo {
    fn on_connect(&mut self, connect: &Connect, fx: &mut Effects) {
        let tenant = tenant(Some(&connect.identity));
        let items: Vec<&Item> = self.lists.get(tenant).into_iter().flat_map(BTreeMap::values).collect();
        fx.accept(connect.socket);
        fx.join(connect.socket, tenant);
        fx.emit(connect.socket, "todo:list", &json!({"items": items}));
    }
}
