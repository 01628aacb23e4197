//! A world for tests: one `Signage`, scripted sockets with inboxes and rooms, a store in memory, time that only tests move.
//! Effects are applied as the shard applies them; nothing of signage is looked into.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Signage;
use super::call::{Ask, Call as SignageCall};
use super::job;
use super::settings::Settings;
use crate::app::effect::{
    Delivery, Effect, Effects, Job, JobError, JobErrorKind, Outcome, Query, Room, Target, Token, Write,
};
use crate::app::event::{AppInput, Args, Call, Connect, Event, Handshake};
use crate::app::identity::{AuthMethod, AuthSettings, Authenticator, Claims, Identity};
use crate::app::{Application, Asked, AuthFailure, Context, Metric};
use crate::base::close::CloseReason;
use crate::base::ids::{Key, NspIndex, ReqId, ShardId, SocketRef};
use crate::base::rng::Rng;
use crate::base::time::{Millis, Now, WallMillis};

/// A client of the world, by number.
pub type Id = u32;

#[derive(Default)]
struct Client {
    identity: Arc<Identity>,
    rooms: BTreeSet<Room>,
    inbox: Vec<(String, Value)>,
    acks: Vec<(u64, Value)>,
    refused: Option<(String, Value)>,
    open: bool,
    /// Events of class `Patch` are dropped, as for a slow reader.
    slow: bool,
    dropped: BTreeSet<u64>,
}

#[derive(Default)]
pub struct Store {
    pub down: bool,
    /// Jobs get no answer until [`World::answer`].
    pub hangs: bool,
    /// Batches of writes handed in so far, those that failed too.
    pub batches: usize,
    pub devices: BTreeMap<String, job::Device>,
    pub states: BTreeMap<String, job::State>,
    pub changes: Vec<job::Change>,
    pub commands: BTreeMap<(String, String), job::Command>,
    pub alerts: BTreeMap<(String, String, u64), job::Alert>,
    pub failures: Vec<job::Failure>,
    pub audits: usize,
    pub pictures: BTreeMap<String, Bytes>,
}

pub struct World {
    app: Signage,
    settings: Settings,
    pub now: Now,
    rng: Rng,
    clients: BTreeMap<Id, Client>,
    timers: BTreeMap<Token, Millis>,
    /// Jobs that a hanging store has not answered.
    waiting: VecDeque<(Job, Option<Token>)>,
    pub store: Store,
    pub replies: Vec<(u16, Value)>,
    pub alerts: Vec<&'static str>,
    /// Sockets that are told to end take their time.
    pub lingering: bool,
    /// Emit effects, to count encodings.
    pub encodings: Vec<String>,
    next: Id,
}

impl World {
    pub fn new() -> World {
        World::with(Settings::default())
    }

    pub fn with(settings: Settings) -> World {
        World {
            app: Signage::new(settings.clone()),
            settings,
            now: Now { mono: Millis(1_000), wall: WallMillis(1_755_684_000_000) },
            rng: Rng::from_seed([4; 32]),
            clients: BTreeMap::new(),
            timers: BTreeMap::new(),
            waiting: VecDeque::new(),
            store: Store::default(),
            replies: Vec::new(),
            alerts: Vec::new(),
            lingering: false,
            encodings: Vec::new(),
            next: 0,
        }
    }

    /// The daemon starts again over the same store; everybody has to reconnect.
    pub fn restart(&mut self) {
        self.app = Signage::new(self.settings.clone());
        self.clients.clear();
        self.timers.clear();
        self.now = self.now.plus(1_000);
    }

    // --- clients ---

    /// A device with its own token, form (a) of the handshake.
    pub fn device(&mut self, id: &str, token: &str) -> Id {
        self.connect(Err(AuthFailure::Invalid), json!({"deviceId": id, "authToken": token}), "")
    }

    /// An authorised and registered device of a group.
    pub fn player(&mut self, id: &str, group: &str) -> Id {
        let token = format!("token-{id}");
        if !self.store.devices.get(id).is_some_and(|row| row.authorized) {
            self.device(id, &token);
            self.call(Ask::Authorize { device_id: id.to_owned() });
        }
        let socket = self.device(id, &token);
        assert!(self.is_open(socket), "{:?}", self.clients[&socket].refused);
        self.send(
            socket,
            "player:register",
            json!({"deviceId": id, "deviceName": "Lobby", "deviceType": "player",
            "deviceGroup": group, "appVersion": "1.2"}),
        );
        self.hears(socket, "player:registered");
        socket
    }

    pub fn person(&mut self, role: &str, groups: &[&str]) -> Id {
        let identity = Claims {
            sub: format!("{role}{}", self.next),
            role: role.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            method: AuthMethod::Jwt,
            ..Claims::default()
        };
        self.connect(Ok(Arc::new(identity.into())), json!({}), "")
    }

    pub fn admin(&mut self) -> Id {
        self.person("admin", &[])
    }

    pub fn connect(&mut self, verified: Result<Arc<Identity>, AuthFailure>, auth: Value, query: &str) -> Id {
        self.connect_from(IpAddr::from([10, 0, 0, 4]), verified, auth, query)
    }

    pub fn connect_from(
        &mut self,
        ip: IpAddr,
        verified: Result<Arc<Identity>, AuthFailure>,
        auth: Value,
        query: &str,
    ) -> Id {
        self.next += 1;
        let id = self.next;
        let handshake = Handshake::new(ip, query, "UA", "");
        let auth = Bytes::from(auth.to_string());
        let admitted = self.app.admit(verified, &Asked { auth: &auth, handshake: &handshake });
        let identity = match admitted {
            Ok(identity) => identity,
            Err(refusal) => {
                let data = refusal.data.map(|data| serde_json::from_str(&data).unwrap()).unwrap_or_default();
                self.clients.insert(id, Client { refused: Some((refusal.message, data)), ..Client::default() });
                return id;
            }
        };
        self.clients.insert(id, Client { identity: identity.clone(), ..Client::default() });
        let sid = self.rng.sid();
        let connect = Connect {
            socket: socket(id),
            nsp: NspIndex(0),
            moved: false,
            sid,
            identity,
            auth,
            handshake: Arc::new(handshake),
        };
        self.input(AppInput::Connect(connect));
        id
    }

    pub fn send(&mut self, id: Id, name: &str, payload: Value) {
        self.event(id, Args::of(name, &[payload]), None);
    }

    /// Sends and returns the ack.
    pub fn asks(&mut self, id: Id, name: &str, payload: Value) -> Value {
        self.event(id, Args::of(name, &[payload]), Some(7));
        let acks = &mut self.clients.get_mut(&id).unwrap().acks;
        acks.pop().unwrap_or_else(|| panic!("no ack of {name}")).1
    }

    pub fn event(&mut self, id: Id, args: Args, ack: Option<u64>) {
        let identity = self.clients[&id].identity.clone();
        self.input(AppInput::Event(Event { socket: socket(id), nsp: NspIndex(0), identity, args, ack }));
    }

    pub fn leaves(&mut self, id: Id, reason: CloseReason) {
        let client = self.clients.get_mut(&id).unwrap();
        (client.open, client.rooms) = (false, BTreeSet::new());
        let identity = client.identity.clone();
        self.input(AppInput::Disconnect { socket: socket(id), identity, reason });
    }

    pub fn call(&mut self, ask: Ask) {
        let req = ReqId { shard: ShardId(0), key: Key::default() };
        let call = Call::Signage(SignageCall { fleet: "default".to_owned(), ask });
        self.input(AppInput::Call { req, call });
    }

    pub fn drains(&mut self) {
        self.input(AppInput::Draining);
    }

    pub fn slow(&mut self, id: Id, slow: bool) {
        let client = self.clients.get_mut(&id).unwrap();
        client.slow = slow;
        let keys: Vec<u64> = std::mem::take(&mut client.dropped).into_iter().collect();
        if !slow && !keys.is_empty() {
            let identity = self.clients[&id].identity.clone();
            self.input(AppInput::Drained { socket: socket(id), identity, keys });
        }
    }

    pub fn is_open(&self, id: Id) -> bool {
        self.clients[&id].open
    }

    pub fn refusal(&self, id: Id) -> (String, Value) {
        self.clients[&id].refused.clone().expect("it was refused")
    }

    // --- what was heard ---

    /// Everything heard since the last look, in order.
    pub fn heard(&mut self, id: Id) -> Vec<(String, Value)> {
        std::mem::take(&mut self.clients.get_mut(&id).unwrap().inbox)
    }

    /// The payloads of all events of a name; other events stay in the inbox.
    pub fn all(&mut self, id: Id, name: &str) -> Vec<Value> {
        let inbox = std::mem::take(&mut self.clients.get_mut(&id).unwrap().inbox);
        let (ours, others) = inbox.into_iter().partition(|(heard, _)| heard == name);
        self.clients.get_mut(&id).unwrap().inbox = others;
        let ours: Vec<(String, Value)> = ours;
        ours.into_iter().map(|(_, payload)| payload).collect()
    }

    /// The one event of a name.
    pub fn hears(&mut self, id: Id, name: &str) -> Value {
        let mut all = self.all(id, name);
        assert_eq!(all.len(), 1, "{name} heard by {id}: {all:?}; beside {:?}", self.clients[&id].inbox);
        all.remove(0)
    }

    pub fn hears_nothing(&mut self, id: Id, name: &str) {
        let all = self.all(id, name);
        assert!(all.is_empty(), "{name} heard by {id}: {all:?}");
    }

    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let mut rows: Vec<Metric> = Vec::new();
        self.app.metrics(&mut rows);
        let fits = |row: &&Metric| row.name == name && (label.is_empty() || row.labels.iter().any(|(_, v)| v == label));
        rows.iter().filter(fits).map(|row| row.value).sum()
    }

    /// What came of the events so far.
    pub fn tally(&self) -> crate::app::Tally {
        self.app.tally()
    }

    // --- time ---

    /// Lets time pass, firing timers at their times.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now.mono + millis;
        while let Some((token, at)) = self.timers.iter().map(|(token, at)| (*token, *at)).min_by_key(|(_, at)| *at)
            && at <= end
        {
            self.now = self.now.plus(at.since(self.now.mono));
            self.timers.remove(&token);
            self.input(AppInput::Timer { token });
        }
        self.now = self.now.plus(end.since(self.now.mono));
    }

    // --- the shard's part ---

    fn input(&mut self, input: AppInput) {
        let mut fx = Effects::default();
        let authenticator = Authenticator::new(&AuthSettings::default());
        if let Some(entity) = self.app.entity(&input)
            && let Some(job) = self.app.load(&entity)
        {
            let outcome = self.work(job);
            let mut cx = Context { now: self.now, rng: &mut self.rng, authenticator: &authenticator };
            self.app.loaded(&mut cx, &entity, outcome, &mut fx);
        }
        let mut cx = Context { now: self.now, rng: &mut self.rng, authenticator: &authenticator };
        self.app.handle(&mut cx, input, &mut fx);
        self.apply(fx.0);
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        let mut done = Vec::new();
        for effect in effects {
            match effect {
                Effect::Accept { socket, .. } => self.client(socket).open = true,
                Effect::Refuse { socket, message, data } => {
                    let data = data.map(|data| serde_json::from_str(&data).unwrap()).unwrap_or_default();
                    self.client(socket).refused = Some((message, data));
                }
                Effect::Emit { target, event, delivery } => self.emit(&target, &event.array, delivery),
                Effect::Ack { socket, id, args, .. } => {
                    let value = serde_json::from_slice(&args).unwrap();
                    self.client(socket).acks.push((id, value));
                }
                Effect::Reply { status, body, .. } => {
                    self.replies.push((status, serde_json::from_str(&body).unwrap()));
                }
                Effect::Join { socket, room } => drop(self.client(socket).rooms.insert(room)),
                Effect::Leave { socket, room } => drop(self.client(socket).rooms.remove(&room)),
                Effect::Disconnect { socket: gone, .. } => {
                    if self.client(gone).open && !self.lingering {
                        done.push(gone);
                    }
                }
                Effect::Commit { write, token, then, or_else, .. } => {
                    let outcome = self.work(Job::Write(write.into()));
                    let written = outcome == Outcome::Written;
                    token.into_iter().for_each(|token| self.input(AppInput::Done { token, outcome: outcome.clone() }));
                    self.apply(if written { then } else { or_else });
                }
                Effect::Job { job, token } => self.waiting.push_back((job, token)),
                Effect::Timer { token, after_ms } => drop(self.timers.insert(token, self.now.mono + after_ms)),
                Effect::Cancel { token } => drop(self.timers.remove(&token)),
                Effect::Alert { kind, .. } => self.alerts.push(kind),
                other => panic!("signage says nothing of this kind: {other:?}"),
            }
        }
        // As in the shard, an outcome comes when the turn that asked has ended.
        while !self.store.hangs && self.answer() {}
        for gone in done {
            self.leaves(gone.key.slot, CloseReason::ServerNamespaceDisconnect);
        }
    }

    fn client(&mut self, socket: SocketRef) -> &mut Client {
        self.clients.entry(socket.key.slot).or_default()
    }

    fn emit(&mut self, target: &Target, array: &[u8], delivery: Delivery) {
        let array: Vec<Value> = serde_json::from_slice(array).unwrap();
        let name = array[0].as_str().unwrap().to_owned();
        let payload = array.get(1).cloned().unwrap_or_default();
        self.encodings.push(name.clone());
        for (id, client) in self.clients.iter_mut().filter(|(_, client)| client.open) {
            let hit = match target {
                Target::Socket(one) => *one == socket(*id),
                Target::Rooms { rooms, except, except_sockets, .. } => {
                    rooms.iter().any(|room| client.rooms.contains(room))
                        && !except.iter().any(|room| client.rooms.contains(room))
                        && !except_sockets.contains(&socket(*id))
                }
            };
            match delivery {
                Delivery::Patch { key } | Delivery::Full { key } if hit && client.slow => {
                    client.dropped.insert(key);
                }
                _ if hit => client.inbox.push((name.clone(), payload.clone())),
                _ => {}
            }
        }
    }

    // --- the store's part ---

    /// The store answers the job that has waited longest, if one does.
    pub fn answer(&mut self) -> bool {
        let Some((job, token)) = self.waiting.pop_front() else { return false };
        let outcome = self.work(job);
        if let Some(token) = token {
            self.input(AppInput::Done { token, outcome });
        }
        true
    }

    fn work(&mut self, job: Job) -> Outcome {
        self.store.batches += usize::from(matches!(job, Job::Write(_)));
        if self.store.down {
            return Outcome::Failed(JobError { kind: JobErrorKind::Unavailable, text: "down".to_owned() });
        }
        match job {
            Job::Write(writes) => {
                writes.iter().for_each(|write| self.store.write(write.clone()));
                Outcome::Written
            }
            Job::Read(Query::Signage(query)) => Outcome::Signage(self.store.read(query)),
            Job::Read(Query::Audit { .. }) => panic!("signage reads no audit"),
            Job::Snapshot(job) => Outcome::Signage(job::Answer::Stored(self.store.snapshot(job))),
        }
    }
}

impl Store {
    fn write(&mut self, write: Write) {
        let Write::Signage(write) = write else {
            self.audits += 1;
            return;
        };
        match write {
            job::Write::PutDevice(row) => drop(self.devices.insert(row.device_id.clone(), row)),
            job::Write::PutState(row) => drop(self.states.insert(row.device_id.clone(), row)),
            job::Write::AddChange(row) => self.changes.push(row),
            job::Write::PutCommand(row) => {
                self.commands.insert((row.command_id.clone(), row.device_id.clone()), row);
            }
            job::Write::PutAlert(row) => {
                self.alerts.insert((row.device_id.clone(), row.kind.clone(), row.since.0), row);
            }
            job::Write::AddFailure(row) => self.failures.push(row),
        }
    }

    fn read(&self, query: job::Query) -> job::Answer {
        match query {
            job::Query::Fleet { fleet } => job::Answer::Fleet {
                devices: self.devices.values().filter(|row| row.fleet == fleet).cloned().collect(),
                states: self.states.values().filter(|row| row.fleet == fleet).cloned().collect(),
                alerts: self.alerts.values().filter(|row| row.resolved.is_none()).cloned().collect(),
            },
            job::Query::History { device_id, since, limit, .. } => {
                let ours = self.changes.iter().filter(|row| row.device_id == device_id && row.rev > since);
                job::Answer::History(ours.take(limit as usize).cloned().collect())
            }
            job::Query::Failures { limit, .. } => {
                job::Answer::Failures(self.failures.iter().rev().take(limit as usize).cloned().collect())
            }
            _ => job::Answer::Snapshot(None),
        }
    }

    fn snapshot(&mut self, job: job::SnapshotJob) -> Result<job::Snapshot, JobError> {
        use base64::Engine;
        let invalid = || JobError { kind: JobErrorKind::Invalid, text: "no picture".to_owned() };
        let bytes = match job.data {
            job::SnapshotData::Raw(bytes) => bytes,
            job::SnapshotData::Base64(text) => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(&text).map_err(|_| invalid())?;
                Bytes::from(decoded)
            }
        };
        if bytes.is_empty() || bytes.len() > job.bytes_max {
            return Err(invalid());
        }
        self.pictures.insert(job.id.clone(), bytes.clone());
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let mime = if job.mime.is_empty() { "image/png".to_owned() } else { job.mime };
        let (path, bytes) = (job.id.clone(), bytes.len() as u64);
        Ok(job::Snapshot {
            id: job.id,
            fleet: job.fleet,
            device_id: job.device_id,
            at: job.at,
            mime,
            bytes,
            sha256,
            path,
        })
    }
}

fn socket(id: Id) -> SocketRef {
    SocketRef { shard: ShardId(0), key: Key { slot: id, generation: 1 } }
}

pub fn of_tenant(tenant: &str, role: &str, device: Option<&str>) -> Result<Arc<Identity>, AuthFailure> {
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

pub fn fleet_world() -> World {
    World::with(Settings { fleet_token: crate::base::secret::Secret::new("player_token"), ..Settings::default() })
}

pub fn by_fleet_token(world: &mut World, auth: Value) -> Id {
    let mut auth = auth;
    auth["token"] = json!("player_token");
    world.connect(Err(AuthFailure::Invalid), auth, "")
}
