//! The world of iot's tests: browsers of systems, devices that report, and what is on disk.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::app::AuthFailure;
use crate::app::event::{Args, Event};
use crate::app::identity::{AuthMethod, AuthMode, AuthSettings, Claims, Identity};
use crate::app::kit::ack::Fail;
use crate::app::route::Call;
use crate::app::sql::Statement;
use crate::apps::iot::cloud::asked::Action;
use crate::apps::iot::device::{Device, Source};
use crate::apps::iot::report::{About, Report};
use crate::apps::iot::settings::Settings;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::status::Reading;
use crate::apps::iot::{Iot, tables};
use crate::base::secret::Secret;
use crate::base::time::WallMillis;
use crate::testing;
pub(super) use crate::testing::Id;

pub(super) struct World {
    world: testing::World,
}

impl Deref for World {
    type Target = testing::World;
    fn deref(&self) -> &testing::World {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut testing::World {
        &mut self.world
    }
}

/// A plug of system s1, one of s2, as Shelly calls them.
pub(super) const D1: &str = "b0b21c12dd94";
pub(super) const D2: &str = "aabbccddeeff";

impl World {
    pub(super) fn new() -> World {
        World::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> World {
        let shared = Arc::new(settings.clone());
        let mut world = testing::World::of(move || Iot::new(settings.clone()), &[&tables::TABLES], &[]);
        world.settings = Some(shared);
        world.trusts(&auth());
        let mut world = World { world };
        world.knows("s1", "c1", D1);
        world.knows("s2", "c2", D2);
        world
    }

    /// A device is on disk, since before the start.
    pub(super) fn knows(&mut self, system: &str, id: &str, shelly: &str) {
        let device = Device::new(id.into(), shelly, "Láser 1", WallMillis(1));
        self.store.put(tables::devices::add(system, &device));
    }

    /// Somebody of a system, who is let in.
    pub(super) fn person(&mut self, system: &str, role: &str) -> Id {
        let id = self.brings(Ok(identity(system, role)));
        assert!(self.is_open(id), "{:?}", self.refusal(id));
        id
    }

    /// Somebody who has joined, and has heard what there is.
    pub(super) fn watcher(&mut self, system: &str, role: &str) -> Id {
        let id = self.person(system, role);
        self.send(id, "join-system", json!(system));
        self.heard(id);
        id
    }

    pub(super) fn brings(&mut self, verified: Result<Arc<Identity>, AuthFailure>) -> Id {
        self.world.connect_from([10, 0, 0, 4].into(), verified, json!({}), "")
    }

    /// A device reports, over the account of its system.
    pub(super) fn reports(&mut self, system: &str, id: &str, status: Value) {
        self.says(system, json!({"id": id, "status": status}));
    }

    /// Something happens outside, as [`report`] reads it.
    pub(super) fn says(&mut self, system: &str, what: Value) {
        let by = self.person(system, "viewer");
        self.event(by, Args::of("test:report", &[what]), None);
        self.leaves(by, crate::base::close::CloseReason::ClientNamespaceDisconnect);
    }

    pub(super) fn devices(&self) -> Vec<Device> {
        self.store.rows(Statement::new("SELECT * FROM iot_devices ORDER BY id"))
    }

    pub(super) fn count(&self, sql: &'static str) -> u64 {
        self.store.rows::<tables::Count>(Statement::new(sql))[0].0
    }

    /// Names of what was heard.
    pub(super) fn names(&mut self, id: Id) -> Vec<String> {
        self.heard(id).into_iter().map(|(name, _)| name).collect()
    }
}

/// What comes from outside, as an event: a status of a device, or that it came or went.
pub(in crate::apps::iot) fn report(turn: &mut Turn<'_>, event: &Event) -> Result<Value, Fail> {
    let said: Value = event.args.parse(0).unwrap();
    if let Some(action) = said["act"].as_str() {
        let account = said["account"].as_str().unwrap().into();
        turn.act(&account, Action::of(action).unwrap(), None);
        return Ok(json!({}));
    }
    let id = ShellyId::parse(said["id"].as_str().unwrap()).unwrap();
    let source = match said["source"].as_str() {
        Some("direct") => Source::Direct,
        Some("v2") => Source::V2,
        _ => Source::Cloud,
    };
    if let Some(reason) = said["gone"].as_str() {
        let device = turn.system.find(id.as_str()).unwrap().id.clone();
        turn.lose(&device, source, reason);
    } else if let Some(reason) = said["there"].as_str() {
        turn.is_there(&id, source, reason);
    } else {
        let (reading, whole) = (Reading::of(&said["status"]), said["whole"] == json!(true));
        let cloud_id = id.decimal();
        let about = About { cloud_id: Some(&cloud_id), ..About::default() };
        turn.report(&Report { source, id: &id, reading: &reading, whole, about, credential: None, bytes: 0, ip: None });
    }
    Ok(json!({}))
}

pub(super) fn claims(system: &str, role: &str) -> Claims {
    Claims {
        sub: format!("{role}@{system}"),
        role: role.to_owned(),
        system_id: Some(system.to_owned()).filter(|system| !system.is_empty()),
        method: AuthMethod::Jwt,
        ..Claims::default()
    }
}

pub(super) fn identity(system: &str, role: &str) -> Arc<Identity> {
    Arc::new(claims(system, role).into())
}

pub(super) fn auth() -> AuthSettings {
    AuthSettings { mode: AuthMode::Jwt, jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() }
}

impl World {
    /// Somebody of a system asks by HTTP: status and body of the answer, if there is one yet.
    pub(super) fn rest(&mut self, who: (&str, &str), method: &str, target: &str, body: Value) -> (u16, Value) {
        let identity = Some(identity(who.0, who.1));
        self.rest_with(method, target, |call| {
            call.identity = identity;
            call.user_agent = "UA".to_owned();
            if !body.is_null() {
                call.body = body.to_string().into();
            }
        })
    }

    /// A call that says something else.
    pub(super) fn rest_with(&mut self, method: &str, target: &str, say: impl FnOnce(&mut Call)) -> (u16, Value) {
        self.replies.clear();
        self.requests_with(&crate::apps::iot::ROW, method, &format!("/iot{target}"), say);
        self.replies.pop().unwrap_or_default()
    }
}
