//! The world of signage's tests: devices, people, what HTTP asks, and what is on disk.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::app::AuthFailure;
use crate::app::identity::{AuthMethod, Claims, Identity};
use crate::app::job::Blob;
use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::apps::signage::settings::Settings;
use crate::apps::signage::tables::{self, Change, Command, Device, Failure, State};
use crate::apps::signage::{ROW, Signage};
use crate::testing;
pub(super) use crate::testing::Id;

pub(super) struct World {
    world: testing::World,
    people: u32,
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

impl World {
    pub(super) fn new() -> World {
        World::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> World {
        let shelves = tables::shelves(&settings);
        let world = testing::World::of(move || Signage::new(settings.clone()), &[&tables::TABLES], &shelves);
        World { world, people: 0 }
    }

    /// A device with its own token, form (a) of the handshake.
    pub(super) fn device(&mut self, id: &str, token: &str) -> Id {
        self.connect(Err(AuthFailure::Invalid), json!({"deviceId": id, "authToken": token}), "")
    }

    /// An authorised and registered device of a group.
    pub(super) fn player(&mut self, id: &str, group: &str) -> Id {
        let token = format!("token-{id}");
        if !self.disk().devices.get(id).is_some_and(|row| row.authorized) {
            self.device(id, &token);
            self.call("POST", &format!("/signage/devices/{id}/authorize"));
        }
        let socket = self.device(id, &token);
        assert!(self.is_open(socket), "{:?}", self.refusal(socket));
        self.send(
            socket,
            "player:register",
            json!({"deviceId": id, "deviceName": "Lobby", "deviceType": "player",
            "deviceGroup": group, "appVersion": "1.2"}),
        );
        self.hears(socket, "player:registered");
        socket
    }

    pub(super) fn person(&mut self, role: &str, groups: &[&str]) -> Id {
        self.people += 1;
        let identity = Claims {
            sub: format!("{role}{}", self.people),
            role: role.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            method: AuthMethod::Jwt,
            ..Claims::default()
        };
        self.connect(Ok(Arc::new(identity.into())), json!({}), "")
    }

    pub(super) fn admin(&mut self) -> Id {
        self.person("admin", &[])
    }

    /// The operator asks.
    pub(super) fn call(&mut self, method: &str, target: &str) {
        self.requests(&ROW, method, target, None);
    }

    /// Every row there is.
    pub(super) fn disk(&self) -> Disk {
        let store = &self.world.store;
        fn all<T: FromRow, K: Ord>(rows: Vec<T>, key: impl Fn(&T) -> K) -> BTreeMap<K, T> {
            rows.into_iter().map(|row| (key(&row), row)).collect()
        }
        let audits = store.rows::<Count>(Statement::new("SELECT count(*) AS count FROM audit"));
        Disk {
            devices: all(store.rows(Statement::new("SELECT * FROM sg_devices")), |row: &Device| row.device_id.clone()),
            states: all(store.rows(Statement::new("SELECT * FROM sg_state")), |row: &State| row.device_id.clone()),
            changes: store.rows(Statement::new("SELECT * FROM sg_state_history ORDER BY at, rev")),
            commands: all(store.rows(Statement::new("SELECT * FROM sg_commands")), |row: &Command| {
                (row.command_id.clone(), row.device_id.clone())
            }),
            failures: store.rows(Statement::new("SELECT * FROM sg_auth_failures ORDER BY seq")),
            audits: audits[0].0 as usize,
        }
    }

    /// The bytes of a snapshot.
    pub(super) fn snapshot(&self, id: &str) -> Option<Bytes> {
        let row = Statement::new("SELECT * FROM blobs WHERE id = ?1").bind(id);
        self.world.store.contents(self.world.store.rows::<Blob>(row).pop())
    }
}

/// What is on disk, by device or, of commands, by command and device.
pub(super) struct Disk {
    pub devices: BTreeMap<String, Device>,
    pub states: BTreeMap<String, State>,
    pub changes: Vec<Change>,
    pub commands: BTreeMap<(String, String), Command>,
    pub failures: Vec<Failure>,
    pub audits: usize,
}

struct Count(u64);

impl FromRow for Count {
    const TABLE: &'static str = "a count";
    fn from_row(row: &mut Row<'_>) -> Result<Count, RowError> {
        Ok(Count(row.get("count")?))
    }
}

impl FromRow for Command {
    const TABLE: &'static str = "sg_commands";
    fn from_row(row: &mut Row<'_>) -> Result<Command, RowError> {
        Ok(Command {
            fleet: row.get("fleet")?,
            command_id: row.get("command_id")?,
            device_id: row.get("device_id")?,
            command: row.get("command")?,
            params: row.get("params")?,
            origin: row.get("origin")?,
            status: row.get("status")?,
            attempts: row.get("attempts")?,
            at: row.get("at")?,
            duration_ms: row.get("duration_ms")?,
        })
    }
}

pub(super) fn of_tenant(tenant: &str, role: &str, device: Option<&str>) -> Result<Arc<Identity>, AuthFailure> {
    let claims = Claims {
        sub: role.into(),
        role: role.into(),
        tenant_id: Some(tenant.into()),
        device_id: device.map(str::to_owned),
        method: AuthMethod::Jwt,
        ..Claims::default()
    };
    Ok(Arc::new(claims.into()))
}

pub(super) fn fleet_world() -> World {
    World::with(Settings { fleet_token: crate::base::secret::Secret::new("player_token"), ..Settings::default() })
}

pub(super) fn by_fleet_token(world: &mut World, auth: Value) -> Id {
    let mut auth = auth;
    auth["token"] = json!("player_token");
    world.connect(Err(AuthFailure::Invalid), auth, "")
}
