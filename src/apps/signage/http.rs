//! What signage answers by HTTP: its rows, where each is decided, and what becomes of a call at its fleet's home. Devices are the
//! operator's, on the admin listener; a snapshot is for those who may see its player.

use std::sync::Arc;

use serde_json::{Value, json};

use super::rules;
use super::tables::{self, SHELF, Snapshot};
use super::turn::Turn;
use super::waiting::{Change, Reader};
use crate::app::Home;
use crate::app::effect::Effect;
use crate::app::identity::Identity;
use crate::app::kit::ack::Fail;
use crate::app::kit::roles::Scope;
use crate::app::reply::Reply;
use crate::app::route::{Call, Command, Door, Http, Method, Param, Place, Refused, Route, Verb, Who};
use crate::base::ids::{ReqId, Sid};
use crate::base::limit::NAME_BYTES_MAX;

/// For the row of the table of applications.
pub(crate) const HTTP: Http = Http {
    routes: &[
        admin("devices", Method::Get, "/devices", "Devices of a fleet.", &[FLEET], of_fleet),
        admin("issue", Method::Post, "/devices/{device}/issue", "A fresh token, shown once.", ONE, of_device),
        admin(
            "authorize",
            Method::Post,
            "/devices/{device}/authorize",
            "Accepts the token that waits.",
            ONE,
            of_device,
        ),
        admin("revoke", Method::Post, "/devices/{device}/revoke", "Ends token and connections.", ONE, of_device),
        admin(
            "rotate",
            Method::Post,
            "/devices/{device}/rotate",
            "A fresh token, shown once, beside those that are good.",
            ONE,
            of_device,
        ),
        admin("failures", Method::Get, "/failures", "Refused attempts, newest first.", &[FLEET, LIMIT], of_failures),
        Route {
            who: Who::Token { in_query: true },
            params: &[Param { name: "id", doc: "As the player's state names it", default: None }],
            ..Route::new("snapshot", Method::Get, "/snapshots/{id}", "A player's snapshot.", of_snapshot)
        },
    ],
    commands: &[Command {
        name: "device",
        doc: "Ask the running daemon, through its admin listener, about signage devices",
        verbs: &[
            Verb { name: "list", doc: "Print all devices of a fleet as JSON", route: "devices" },
            Verb {
                name: "issue",
                doc: "Issue a fresh token for a device and print it: the only time it is shown",
                route: "issue",
            },
            Verb { name: "authorize", doc: "Accept the token that a pending device has presented", route: "authorize" },
            Verb { name: "revoke", doc: "End a device's tokens and its connections", route: "revoke" },
            Verb {
                name: "rotate",
                doc: "Issue a fresh token, send it to the device if it is here, and print it; the one before stays good for a while",
                route: "rotate",
            },
        ],
    }],
    ..Http::NONE
};

type HomeOf = fn(&Call) -> Result<Place, Refused>;

const FLEET: Param = Param { name: "fleet", doc: "The tenant whose devices they are", default: Some("default") };
const DEVICE: Param = Param { name: "device", doc: "The device's id", default: None };
const LIMIT: Param = Param { name: "limit", doc: "So many at most", default: None };
const ONE: &[Param] = &[DEVICE, FLEET];

const fn admin(
    name: &'static str,
    method: Method,
    path: &'static str,
    doc: &'static str,
    params: &'static [Param],
    home: HomeOf,
) -> Route {
    Route { door: Door::Admin, params, ..Route::new(name, method, path, doc, home) }
}

/// Failures answered at most, whatever the request says.
const FAILURES_MAX: u32 = 1_000;
/// Failures answered unless the request says otherwise.
const FAILURES_DEFAULT: u32 = 100;
/// What somebody gets whose snapshot is of other people, never was, or has gone.
const OF_OTHERS: Refused = Refused::new(403, "FORBIDDEN", "this snapshot is of another fleet or group");
const GONE: Refused = Refused::new(404, "SNAPSHOT_NOT_FOUND", "there is no such snapshot, or no longer");
const FLEET_TOO_LONG: Refused = Refused::new(400, "VALIDATION", "the fleet's name is too long");
const DEVICE_TOO_LONG: Refused = Refused::new(400, "VALIDATION", "the device id is too long");
const NO_LIMIT: Refused = Refused::new(400, "VALIDATION", "limit must be a whole number");

fn of_fleet(call: &Call) -> Result<Place, Refused> {
    let named = call.query_value("fleet").filter(|fleet| !fleet.is_empty());
    let fleet = named.unwrap_or_else(|| "default".to_owned());
    if fleet.len() > NAME_BYTES_MAX {
        return Err(FLEET_TOO_LONG);
    }
    Ok(Place::At(Home::Tenant(fleet)))
}

fn of_device(call: &Call) -> Result<Place, Refused> {
    if call.param("device").len() > NAME_BYTES_MAX {
        return Err(DEVICE_TOO_LONG);
    }
    of_fleet(call)
}

fn of_failures(call: &Call) -> Result<Place, Refused> {
    limit(call).ok_or(NO_LIMIT)?;
    of_fleet(call)
}

fn limit(call: &Call) -> Option<u32> {
    let limit = call.query_value("limit").map_or(Ok(FAILURES_DEFAULT), |limit| limit.parse()).ok()?;
    Some(limit.clamp(1, FAILURES_MAX))
}

/// The fleet of whoever asks: its home knows which groups its devices are in.
fn of_snapshot(call: &Call) -> Result<Place, Refused> {
    Sid::parse(call.param("id")).ok_or(GONE)?;
    let fleet = call.identity.as_deref().map_or("", rules::fleet_of);
    if !rules::is_fleet(fleet) {
        return Err(OF_OTHERS);
    }
    Ok(Place::At(Home::Tenant(fleet.to_owned())))
}

impl Turn<'_> {
    /// A call from HTTP; what the store has to say first is answered later.
    pub(super) fn on_call(&mut self, req: ReqId, call: &Call) {
        let device = call.param("device");
        let outcome = match call.route.name {
            "devices" => {
                let newcomers = self.fleet.newcomers();
                let devices = self.fleet.listed(&newcomers, &Scope::All);
                let body = json!({"devices": devices, "serverTime": self.now.wall.to_string()});
                self.reply(req, 200, &body);
                Ok(())
            }
            "issue" => self.grant_call(req, device, Change::Issue),
            "authorize" => self.grant_call(req, device, Change::Authorize),
            "revoke" => self.grant_call(req, device, Change::Revoke),
            "rotate" => self.grant_call(req, device, Change::Rotate),
            "failures" => {
                let failures = tables::failures(&self.fleet.name, limit(call).unwrap_or(FAILURES_DEFAULT));
                self.read_saved(failures, Reader::Failures { req });
                Ok(())
            }
            _ => {
                let (Some(id), Some(identity)) = (Sid::parse(call.param("id")), call.identity.clone()) else {
                    return self.refuse(req, &GONE);
                };
                self.read(tables::snapshot(id.as_str()), Reader::Snapshot { req, id, identity });
                Ok(())
            }
        };
        if let Err(fail) = outcome {
            let status = match fail.code {
                "DEVICE_NOT_FOUND" => 404,
                "VALIDATION" => 400,
                _ => 409,
            };
            self.reply(req, status, &json!({"error": fail}));
        }
    }

    /// The store has said whose a snapshot is.
    pub(super) fn show_snapshot(&mut self, req: ReqId, id: Sid, identity: &Arc<Identity>, row: Option<Snapshot>) {
        match row {
            None => self.refuse(req, &GONE),
            Some(row) if !self.may_see(identity, &row) => self.refuse(req, &OF_OTHERS),
            Some(_) => self.fx.push(Effect::Reply { req, reply: Reply::blob(SHELF, id, GONE) }),
        }
    }

    /// A player sees its own snapshots, a person those of the devices it would see as a watcher.
    fn may_see(&self, identity: &Identity, snapshot: &Snapshot) -> bool {
        if *self.fleet.name != *snapshot.fleet {
            return false;
        }
        let Some(role) = rules::role_of(identity) else {
            return identity.device_id() == Some(&*snapshot.device_id);
        };
        match rules::scope_of(role, identity) {
            Scope::All => true,
            scope => {
                let device = self.fleet.devices.get(&*snapshot.device_id);
                device.is_some_and(|device| scope.covers(&device.row.group))
            }
        }
    }

    /// Answers with JSON.
    pub(super) fn reply(&mut self, req: ReqId, status: u16, body: &Value) {
        self.fx.push(Effect::Reply { req, reply: Reply::json(status, body) });
    }

    fn refuse(&mut self, req: ReqId, refused: &Refused) {
        let fail = Fail::new(refused.code, refused.text);
        self.reply(req, refused.status, &json!({"error": fail}));
    }
}
