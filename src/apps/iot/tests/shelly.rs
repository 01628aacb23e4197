//! A Shelly cloud for the world of tests: what it answers by HTTP, as a test changes it, and its event sockets.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::world::World;
use crate::app::Token;
use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::app::link::{LinkEnd, LinkId, LinkMessage};
use crate::apps::iot::cloud::secrets::Secrets;
use crate::apps::iot::connection::{Connection, Kind, Status};
use crate::apps::iot::credential::{Credential, Standing};
use crate::apps::iot::settings::Settings;
use crate::apps::iot::tables;
use crate::apps::iot::wire::seal::Keyring;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::base::time::WallMillis;
use crate::testing::outside::answer;

/// What the cloud answers, and what it has been asked.
#[derive(Clone, Default)]
pub(super) struct Shelly(Rc<RefCell<State>>);

#[derive(Default)]
pub(super) struct State {
    /// Status and body by the end of the path; what is not here is not answered.
    pub says: BTreeMap<&'static str, (u16, Value)>,
    /// Paths and bodies, in their order.
    pub asked: Vec<(String, String)>,
    /// Answers of 429 say so.
    pub retry_after: Option<&'static str>,
}

pub(super) const AUTH: &str = "/oauth/auth";
pub(super) const LOGIN: &str = "/oauth/login";
pub(super) const ALL_STATUS: &str = "/device/all_status";
pub(super) const SET: &str = "/v2/devices/api/set/switch";
pub(super) const GET: &str = "/v2/devices/api/get";

impl Shelly {
    pub(super) fn says(&self, path: &'static str, status: u16, body: Value) {
        self.0.borrow_mut().says.insert(path, (status, body));
    }

    pub(super) fn retry_after(&self, after: &'static str) {
        self.0.borrow_mut().retry_after = Some(after);
    }

    /// What it was asked since the last look, by path.
    pub(super) fn asked(&self, path: &str) -> Vec<String> {
        let mut state = self.0.borrow_mut();
        let (those, rest) = std::mem::take(&mut state.asked).into_iter().partition(|(asked, _)| asked == path);
        state.asked = rest;
        let those: Vec<(String, String)> = those;
        those.into_iter().map(|(_, body)| body).collect()
    }

    fn answers(&self, fetch: &Fetch) -> Result<Fetched, FetchError> {
        let mut state = self.0.borrow_mut();
        let url: url::Url = fetch.url.parse().unwrap();
        state.asked.push((url.path().to_owned(), String::from_utf8(fetch.body.to_vec()).unwrap()));
        match state.says.get(url.path()) {
            Some((status, body)) => {
                let text = if body.is_null() { String::new() } else { body.to_string() };
                let mut fetched = answer(*status, &text)?;
                if let Some(after) = state.retry_after {
                    fetched.headers.push(("retry-after".to_owned(), after.into()));
                }
                Ok(fetched)
            }
            None => Err(FetchError::new(FetchFailure::Refused, "nobody is there")),
        }
    }
}

/// Settings of a system with a cloud, and keys.
pub(super) fn settings() -> Settings {
    Settings { encryption_key: key(1), cloud_hosts: vec!["*.shelly.cloud".to_owned()], ..Settings::default() }
}

pub(super) fn key(byte: u8) -> Secret {
    Secret::new(format!("{byte:02x}").repeat(32))
}

pub(super) fn jwt(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "HS256"})), part(claims))
}

/// A token that is good for so long.
pub(super) fn grant(name: &str, life_s: u64) -> Value {
    json!({"access_token": name, "expires_in": life_s})
}

impl World {
    /// A cloud that knows one token, and no devices.
    pub(super) fn cloud(&mut self) -> Shelly {
        let shelly = Shelly::default();
        shelly.says(AUTH, 200, grant("tok2", 43_200));
        shelly.says(ALL_STATUS, 200, devices(&[]));
        let told = shelly.clone();
        self.outside.says(move |fetch| told.answers(fetch));
        shelly
    }

    /// An account is on disk since before the start, connected, with a token that ends in so many seconds.
    pub(super) fn account(&mut self, system: &str, id: &str, ends_in_s: u64) {
        let secrets = Secrets {
            code: Secret::new("c0de"),
            access: Secret::new("tok1"),
            ends_at: WallMillis(self.now.wall.0 + ends_in_s * 1_000),
            ..Secrets::default()
        };
        self.account_with(system, id, &secrets, &key(1), Status::Connected, true);
    }

    pub(super) fn account_with(
        &mut self,
        system: &str,
        id: &str,
        secrets: &Secrets,
        key: &Secret,
        status: Status,
        auto_reconnect: bool,
    ) {
        let mut rng = Rng::from_seed([5; 32]);
        let sealed = Keyring::new(key, &[]).seal(id, secrets.write().expose(), &mut rng).unwrap();
        let credential = Credential {
            id: id.into(),
            name: "Clínica".into(),
            email: format!("{id}@example.com").into(),
            api_host: "https://shelly-1-eu.shelly.cloud".into(),
            sealed: sealed.into(),
            status: Standing::Connected,
            error: None,
            last_sync_at: None,
            created_at: WallMillis(1),
        };
        self.store.put(tables::credentials::put(system, &credential, WallMillis(1)));
        let mut connection = Connection::new(format!("conn-{id}").into(), Kind::Shelly, id, WallMillis(1));
        (connection.status, connection.auto_reconnect) = (status, auto_reconnect);
        self.store.put(tables::connections::put(system, &connection));
    }

    /// The event socket that is dialled now, the newest of several.
    pub(super) fn dialled(&self) -> Option<u64> {
        (1..10_000).rev().find(|token| self.link_dialled(*token).is_some())
    }

    /// The event socket that is dialled opens.
    pub(super) fn opens(&mut self) -> LinkId {
        let token = self.dialled().expect("something is dialled");
        self.link_opens(token, None);
        LinkId::Dialled(Token(token))
    }

    /// The event socket that is there.
    pub(super) fn only_link(&self) -> LinkId {
        LinkId::Dialled(Token(self.dialled().expect("a socket is there")))
    }

    pub(super) fn cloud_says(&mut self, link: LinkId, message: &Value) {
        self.link_says(link, LinkMessage::text(message.to_string()));
    }

    /// A status of the plug of s1, over its account.
    pub(super) fn plug_says(&mut self, link: LinkId, status: Value) {
        self.cloud_says(link, &status_of("194279021665684", status));
    }

    pub(super) fn cloud_closes(&mut self, link: LinkId) {
        self.link_ends(link, LinkEnd::Peer { code: Some(1_000), reason: String::new() });
    }

    /// What the cloud was told, as JSON.
    pub(super) fn told(&mut self, link: LinkId) -> Vec<Value> {
        let read = |message: LinkMessage| match message {
            LinkMessage::Text(text) => serde_json::from_str(&text).unwrap(),
            LinkMessage::Binary(_) => panic!("a binary message"),
        };
        self.link_told(link).into_iter().map(read).collect()
    }

    /// Rows of logs, by type, in their order.
    pub(super) fn logged(&mut self) -> Vec<String> {
        self.pass(1_000);
        let rows = self
            .store
            .rows::<Kinds>(crate::app::sql::Statement::new("SELECT eventType FROM iot_logs ORDER BY createdAt, id"));
        rows.into_iter().map(|kind| kind.0).collect()
    }
}

struct Kinds(String);

impl crate::app::sql::FromRow for Kinds {
    const TABLE: &'static str = "iot_logs";
    fn from_row(row: &mut crate::app::sql::Row<'_>) -> Result<Kinds, crate::app::sql::RowError> {
        Ok(Kinds(row.get("eventType")?))
    }
}

pub(super) fn status_of(device: &str, status: Value) -> Value {
    json!({"event": "Shelly:StatusOnChange", "status": status,
        "device": {"id": device, "code": "SNPL-00112EU", "gen": "G2"}})
}

/// All devices of an account: their ids, whether they are online, and how they stand.
pub(super) fn devices(list: &[(&str, bool, Value)]) -> Value {
    let entry = |(at, (id, online, status)): (usize, &(&str, bool, Value))| {
        let mut status = status.clone();
        status["_dev_info"] = json!({"id": id, "gen": "G2", "code": "SNPL-00112EU", "online": online});
        (format!("key{at}"), status)
    };
    let all: serde_json::Map<String, Value> = list.iter().enumerate().map(entry).collect();
    json!({"isok": true, "data": {"devices_status": all}})
}
