//! What utalk answers by HTTP: the table of routes, where each is decided, and how a call comes to the same functions as an event of a
//! socket. `envelope` is the form of every answer, `page` that of lists, `hyphen` that of the dialect; `users`, `conversations`, `messages` and
//! `figures` are what is asked about those, `wants` is that as values.

pub(in crate::apps::utalk) mod conversations;
pub(in crate::apps::utalk) mod envelope;
pub(in crate::apps::utalk) mod figures;
mod hyphen;
mod media;
mod messages;
mod page;
pub(in crate::apps::utalk) mod users;
pub(in crate::apps::utalk) mod wants;
mod work;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::conversations::{edit_of, edit_without_status};
use self::messages::conversation_of;
use self::wants::Show;
use super::accounts;
use super::connect::is_access;
use super::dialect::{heard_message, shape};
use super::events::too_often;
use super::file::Shown;
use super::hooks;
use super::payload::{Unique, Why, wrong};
use super::rules::conversation_id;
use super::settings::Settings;
use super::turn::Turn;
use super::user::Account;
use super::who::{Asker, Back, Form, Role, Who, home_of, scope_of};
use super::wish::What;
use crate::app::Home;
use crate::app::kit::ack::Fail;
use crate::app::kit::rate::Rate;
use crate::app::route::{Bare, Body, Call, Http, Method, Param, Place, Refused, Route, Who as Askers};
use crate::base::ids::ReqId;

/// For the row of the table of applications.
pub(crate) const HTTP: Http = Http {
    routes: &[
        login("login", "/api/auth/login", "E-mail and password become an access and a refresh token."),
        login("refresh", "/api/auth/refresh", "A refresh token becomes two new ones; it is good once."),
        Route {
            body: MAY_BE_EMPTY,
            ..login("logout", "/api/auth/logout", "A refresh token and all of its login end.")
        },
        get("profile", "/api/auth/profile", "Who a token stands for."),
        get("me", "/api/users/me", "Who a token stands for."),
        json(post("create-user", "/api/auth/create-user", "A new account in the admin's workspace.")),
        Route {
            params: &[USER],
            ..json(put(
                "user-status",
                "/api/users/{id}/status",
                "Lets somebody in, or no longer: active, inactive, banned.",
            ))
        },
        Route { params: LISTED, ..get("list-conversations", CONVERSATIONS, "Conversations, the newest first.") },
        json(post("open", CONVERSATIONS, "A conversation with a customer is there.")),
        of_one(get("conversation", "/api/conversations/{id}", "A conversation.")),
        of_one(json(put("amend", "/api/conversations/{id}", "Its customer's name, its priority, its tags."))),
        of_one(json(put("set-status", "/api/conversations/{id}/status", "It is open, pending or closed."))),
        of_one(json(put("set-priority", "/api/conversations/{id}/priority", "How urgent it is."))),
        of_one(json(post("assign", "/api/conversations/{id}/assign", "An agent gets it."))),
        of_one(json(put("assign-again", "/api/conversations/{id}/assign", "An agent gets it."))),
        of_one(put("unassign", "/api/conversations/{id}/unassign", "It is nobody's any more.")),
        of_one(json(post("transfer", "/api/conversations/{id}/transfer", "It is handed on to another agent."))),
        of_one(post("return-to-bot", "/api/conversations/{id}/return-to-bot", "It is the bot's again.")),
        json(post("escalate", "/api/escalate", "An escalation begins.")),
        Route { params: &[ESCALATION], ..post("accept", "/api/escalations/{id}/accept", "An escalation is accepted.") },
        Route {
            params: &[ESCALATION],
            body: MAY_BE_EMPTY,
            ..post("reject", "/api/escalations/{id}/reject", "An escalation is rejected.")
        },
        of_one(put("read-all", "/api/conversations/{id}/read-all", "All of it is read.")),
        of_one(get("assigned-agents", "/api/conversations/{id}/assigned-agents", "Whom it is assigned to.")),
        Route {
            params: MESSAGES,
            ..get("list-messages", "/api/conversations/{id}/messages", "Its messages, the newest first.")
        },
        of_one(json(post("reply", "/api/conversations/{id}/messages", "Sends a message into it."))),
        Route {
            params: &[CONVERSATION, MESSAGE],
            ..put("read", "/api/conversations/{id}/messages/{mid}/read", "It is read up to this message.")
        },
        Route { params: MESSAGES_OF, ..get("messages", "/api/messages", "Messages of a conversation.") },
        json(post("send", "/api/messages", "Sends a message, as message:send does.")),
        Route {
            params: &[Param { name: "id", doc: "Id or messageId of a message", default: None }],
            ..json(put("message-status", "/api/messages/{id}/status", "How a message fares; never back."))
        },
        Route {
            params: &[
                Param { name: "startDate", doc: "From this time or day on", default: None },
                Param { name: "endDate", doc: "Up to this time or day", default: None },
            ],
            ..get("kpis-conversations", "/api/kpis/conversations", "What became of the conversations of a time.")
        },
        json(post("send-files", "/api/messages/send-with-file-ids", "Sends files that were brought before.")),
        Route {
            body: Body::Upload { bytes_max: FILE_BYTES_MAX },
            ..post("upload", "/api/media/upload", "Fields conversationId, messageId?, type?, then a file.")
        },
        Route { params: &[MEDIA], ..get("media", "/api/media/{id}", "A file, with a URL of its bytes.") },
        Route { params: &[MEDIA], ..get("media-download", "/api/media/{id}/download", "To the bytes of a file.") },
        Route { params: &[MEDIA], ..get("media-file", "/api/media/file/{id}/download", "The bytes of a file.") },
        Route {
            params: &[CONVERSATION, LIMIT],
            ..get("media-of", "/api/media/conversation/{id}", "Files of a conversation, the newest first.")
        },
        Route {
            bare: Bare::AtRoot,
            params: &[
                MEDIA,
                Param { name: "exp", doc: "When the URL ends, in seconds since 1970", default: None },
                Param { name: "sig", doc: "Our signature", default: None },
            ],
            ..Route::new("signed-media", Method::Get, "/media/{id}", "The bytes of a file, by a signed URL.", |_| {
                Ok(Place::At(Home::Local))
            })
        },
        get("kpis-agents", "/api/kpis/agents", "What agents have to do."),
        Route {
            home: of_speakers,
            ..get("permissions", "/api/module-permissions/my-permissions", "What clients of the dialect may do.")
        },
        Route { params: &[LIMIT, CURSOR], ..get("team", "/api/team", "The people of a workspace, the newest first.") },
        hooks::from_twilio("webhook_twilio_inbound", "/webhooks/twilio/whatsapp"),
        hooks::from_twilio("webhook_twilio_status", "/webhooks/twilio/status"),
        hooks::from_twilio("webhook_twilio_messages", "/api/messages/webhook"),
        hooks::from_twilio("webhook_twilio_callback", "/api/twilio/status-callback"),
        hooks::verifies("webhook_whatsapp_verify", "/webhooks/whatsapp"),
        hooks::from_meta(
            "webhook_whatsapp",
            "/webhooks/whatsapp",
            "Messages and receipts of WhatsApp Cloud, signed.",
            hooks::of_whatsapp,
        ),
        hooks::verifies("webhook_messenger_verify", "/webhooks/facebook/verify"),
        hooks::from_meta(
            "webhook_messenger",
            "/webhooks/facebook/messages",
            "Messages of Messenger, signed.",
            hooks::of_messenger,
        ),
    ],
    error: envelope::refused,
    ..Http::NONE
};

const MEDIA: Param = Param { name: "id", doc: "Id of a file", default: None };
const USER: Param = Param { name: "id", doc: "Id or e-mail of a user", default: None };
const LIMIT: Param = Param { name: "limit", doc: "So many at most, 1 to 100", default: None };
const CURSOR: Param = Param { name: "cursor", doc: "Where the page before has ended", default: None };

const CONVERSATIONS: &str = "/api/conversations";
const CONVERSATION: Param = Param { name: "id", doc: "Id of a conversation", default: None };
const ESCALATION: Param = Param { name: "id", doc: "Id of an escalation", default: None };
const MESSAGE: Param = Param { name: "mid", doc: "Id or messageId of a message", default: None };
const LISTED: &[Param] = &[
    Param { name: "status", doc: "open, pending, escalated, closed, or all", default: None },
    Param { name: "channel", doc: "whatsapp, web, …", default: None },
    Param { name: "assignedTo", doc: "Id or e-mail of an agent, me, or unassigned", default: None },
    Param { name: "search", doc: "What a name, number or id has in it", default: None },
    Param { name: "page", doc: "In the dialect: the number of a page, from 1", default: None },
    LIMIT,
    CURSOR,
];
const MESSAGES: &[Param] = &[CONVERSATION, TYPE, DIRECTION, BEFORE, AFTER, LIMIT, CURSOR];
const MESSAGES_OF: &[Param] = &[
    Param { name: "conversationId", doc: "Id of a conversation", default: None },
    TYPE,
    DIRECTION,
    BEFORE,
    AFTER,
    LIMIT,
    CURSOR,
];
const TYPE: Param = Param { name: "type", doc: "text, image, …", default: None };
const DIRECTION: Param = Param { name: "direction", doc: "inbound, outbound or internal", default: None };
const BEFORE: Param = Param { name: "before", doc: "Sent before this time", default: None };
const AFTER: Param = Param { name: "after", doc: "Sent after this time", default: None };

/// A route about the conversation in its path.
const fn of_one(route: Route) -> Route {
    Route { params: &[CONVERSATION], ..route }
}

/// A route that needs no token: it gives one.
const fn login(name: &'static str, path: &'static str, doc: &'static str) -> Route {
    let route = Route::new(name, Method::Post, path, doc, |_| Ok(Place::At(accounts::home())));
    Route { bare: Bare::AtRoot, ..json(route) }
}

/// A route of somebody with a token, decided at the scope that it is of.
const fn call(name: &'static str, method: Method, path: &'static str, doc: &'static str) -> Route {
    Route {
        bare: Bare::AtRoot,
        who: Askers::Token { in_query: false },
        ..Route::new(name, method, path, doc, of_scope)
    }
}

const fn get(name: &'static str, path: &'static str, doc: &'static str) -> Route {
    call(name, Method::Get, path, doc)
}

const fn post(name: &'static str, path: &'static str, doc: &'static str) -> Route {
    call(name, Method::Post, path, doc)
}

const fn put(name: &'static str, path: &'static str, doc: &'static str) -> Route {
    call(name, Method::Put, path, doc)
}

/// The same with a JSON body.
const fn json(route: Route) -> Route {
    Route { body: Body::Json { bytes_max: BODY_BYTES_MAX }, ..route }
}

/// The scope of the token; one that only renews is none to ask with.
fn of_scope(call: &Call) -> Result<Place, Refused> {
    let identity = call.identity.as_deref().filter(|identity| is_access(identity)).ok_or(Refused::BAD_TOKEN)?;
    let settings = call.settings::<Settings>().ok_or(Refused::NO_ANSWER)?;
    Ok(Place::At(home_of(scope_of(identity, settings))))
}

/// The same of a route that is there for the dialect alone.
fn of_speakers(call: &Call) -> Result<Place, Refused> {
    if call.dialect.is_some() { of_scope(call) } else { Err(Refused::NOT_FOUND) }
}

/// Whether a call is about no scope, but about a login.
pub(super) fn is_login(home: &Home) -> bool {
    accounts::is_home(home)
}

impl Turn<'_> {
    /// A call of somebody with a token, or of a webhook, which has none.
    pub(super) fn on_call(&mut self, req: ReqId, call: &Call) {
        let Some(identity) = call.identity.as_deref() else { return self.on_webhook(req, call) };
        let back = Back::Call { req, form: envelope::done, is_speaker: call.dialect.is_some() };
        let asker = Asker { who: Arc::new(Who::of(identity)), back };
        let user = self.scope.users.get(&asker.who.user);
        if user.is_some_and(|user| user.status != Account::Active) {
            return self.refuse(&asker, &accounts::inactive());
        }
        let routed = self.limit(&asker, call.route.name).and_then(|()| self.route(&asker, call));
        if let Err(fail) = routed {
            self.refuse(&asker, &fail);
        }
    }

    /// What is the same as an event of a socket may come as often.
    fn limit(&mut self, asker: &Asker, route: &str) -> Result<(), Fail> {
        let Some((_, event)) = LIMITED.iter().find(|(limited, _)| *limited == route) else { return Ok(()) };
        let Some(rate) = Rate::per_minute(self.settings.per_minute(event)) else { return Ok(()) };
        if self.scope.callers.len() >= CALLERS_MAX && !self.scope.callers.contains_key(&asker.who.user) {
            self.scope.callers.clear();
        }
        let meter = self.scope.callers.entry(asker.who.user.clone()).or_default();
        let taken = meter.take(self.now.mono, event, rate);
        taken.map_err(|exceeded| too_often(event).with(exceeded.details(self.now)))
    }

    fn route(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        match call.route.name {
            "profile" => self.me(asker, call, true),
            "me" => self.me(asker, call, false),
            "list-conversations" => self.list_conversations(asker, call)?,
            "conversation" => self.wish(What::Show(Show::Row).of(asker, conversation_of(call)?)),
            "assigned-agents" => self.wish(What::Show(Show::Agents).of(asker, conversation_of(call)?)),
            "list-messages" | "messages" => {
                let id = match call.route.name {
                    "messages" => conversation_id(&call.query_value("conversationId").unwrap_or_default()),
                    _ => conversation_of(call)?,
                };
                let show = self.messages_wanted(asker, &id, call)?;
                self.wish(What::Show(show).of(asker, id));
            }
            "kpis-conversations" => {
                staff(asker)?;
                self.count_conversations(asker, call)?;
            }
            "kpis-agents" => {
                admin(asker)?;
                self.count_agents(asker);
            }
            "open" | "amend" | "set-status" | "set-priority" | "read-all" | "read" | "send" | "reply" => {
                writer(asker)?;
                self.write_route(asker, call)?;
            }
            "message-status" => {
                if !asker.who.role.sees_all() {
                    return Err(forbidden());
                }
                self.set_message_status(asker, call, body(call)?)?;
            }
            "assign" | "assign-again" | "transfer" | "unassign" | "return-to-bot" | "escalate" | "accept"
            | "reject" => {
                writer(asker)?;
                self.work_routes(asker, call)?;
            }
            "create-user" => {
                admin(asker)?;
                self.create_user(&asker.answered(envelope::created), call, body(call)?)?;
            }
            "user-status" => {
                admin(asker)?;
                self.set_status(asker, call, body(call)?)?;
            }
            "upload" => {
                writer(asker)?;
                self.upload(asker, call)?;
            }
            "send-files" => {
                writer(asker)?;
                self.send_files(asker, call, body(call)?)?;
            }
            "permissions" => self.permissions(asker),
            "media" => self.media(asker, call, Shown::Row),
            "media-download" => self.media(asker, call, Shown::Address),
            "media-file" => self.media(asker, call, Shown::Bytes),
            "media-of" => self.wish(What::Show(self.files_wanted(call)?).of(asker, conversation_of(call)?)),
            "team" => {
                staff(asker)?;
                self.team(asker, call)?;
            }
            other => unreachable!("no route is called {other}"),
        }
        Ok(())
    }

    /// Routes about the work of agents.
    fn work_routes(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        match call.route.name {
            "unassign" | "return-to-bot" => self.work_route(asker, call, Map::new()),
            "escalate" => self.escalate_route(asker, body(call)?),
            "accept" => self.verdict_route(asker, call, Map::new()),
            "reject" => self.verdict_route(asker, call, body(call)?),
            _ => self.work_route(asker, call, body(call)?),
        }
    }

    /// A message that a call brings.
    fn message_body(&mut self, call: &Call) -> Result<Map<String, Value>, Fail> {
        let mut body = body(call)?;
        if call.dialect.is_some() {
            heard_message(&mut body, self.rng);
        }
        Ok(body)
    }

    /// Routes of those who may write.
    fn write_route(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        match call.route.name {
            "send" => {
                let body = self.message_body(call)?;
                self.send_message(asker, body)
            }
            "open" => self.open_conversation(asker, body(call)?),
            "reply" => {
                let body = self.message_body(call)?;
                self.reply_message(asker, conversation_of(call)?, body)
            }
            "read-all" => {
                self.read_messages(asker, conversation_of(call)?, None);
                Ok(())
            }
            "read" => {
                self.read_messages(asker, conversation_of(call)?, Some(call.param("mid")));
                Ok(())
            }
            route => {
                let mut body = body(call)?;
                if let (Some(_), Some(Value::String(status))) = (call.dialect, body.get_mut("status")) {
                    *status = shape::status_heard(status).to_owned();
                }
                let edit = match route {
                    "set-status" => edit_of("status", body)?,
                    "set-priority" => edit_of("priority", body)?,
                    _ => edit_without_status(body)?,
                };
                self.wish(What::Edit(edit).of(asker, conversation_of(call)?));
                Ok(())
            }
        }
    }
}

impl Asker {
    /// The same, whose call is answered in this form.
    pub(super) fn answered(&self, form: Form) -> Asker {
        let back = match self.back {
            Back::Call { req, is_speaker, .. } => Back::Call { req, form, is_speaker },
            back => back,
        };
        Asker { who: self.who.clone(), back }
    }
}

/// The object that a call brings; nothing is an empty one where it may be.
fn body(call: &Call) -> Result<Map<String, Value>, Fail> {
    if call.body.is_empty() && matches!(call.route.body, Body::Raw { .. }) {
        return Ok(Map::new());
    }
    let fields = call.json().map(|Unique(fields)| fields);
    fields.ok_or_else(|| wrong(call.route.name, "body", Why::Invalid))
}

fn admin(asker: &Asker) -> Result<(), Fail> {
    if asker.who.role == Role::Admin { Ok(()) } else { Err(forbidden()) }
}

/// People of the workspace and their programs: neither bots nor those who only look.
fn staff(asker: &Asker) -> Result<(), Fail> {
    if asker.who.role >= Role::Agent { Ok(()) } else { Err(forbidden()) }
}

/// Everybody but those who only look.
fn writer(asker: &Asker) -> Result<(), Fail> {
    if asker.who.role == Role::Viewer { Err(forbidden()) } else { Ok(()) }
}

fn forbidden() -> Fail {
    Fail::new("FORBIDDEN", "No tienes permiso para esta operación")
}

/// Routes that are the same as events.
const LIMITED: &[(&str, &str)] = &[
    ("send", messages::SEND),
    ("reply", messages::SEND),
    ("send-files", messages::SEND),
    ("read", "conversation:read"),
    ("read-all", "conversation:read"),
];
/// Users whose calls are counted.
const CALLERS_MAX: usize = 10_000;
/// Bytes of a file, whatever is configured.
const FILE_BYTES_MAX: u64 = 10_737_418_240;
/// Bytes of a body: a message with its metadata, with room.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// A JSON object, or nothing.
const MAY_BE_EMPTY: Body = Body::Raw { bytes_max: BODY_BYTES_MAX, headers: &[] };
