//! Pairing (SIGNAGE 9.22): a device without a token shows a code, an admin types it, and the device gets a token of its own. Until
//! then it has a seat that may ask for a code and nothing else.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::connect::Refused;
use super::fleet::{AdminSeat, Seat};
use super::rules;
use super::turn::Turn;
use super::waiting::{Asker, Change, WaitingSeat};
use crate::app::event::{Connect, Event};
use crate::app::kit::ack::Fail;
use crate::base::ids::SocketRef;
use crate::base::rng::Rng;
use crate::base::time::{Millis, WallMillis};

/// Devices that may wait at one address, and in all.
const WAITING_PER_ADDRESS_MAX: usize = 5;
const WAITING_MAX: usize = 1_000;
/// A code is good for this long.
const CODE_MS: u64 = 600_000;
const CODE_CHARS: usize = 6;
/// What people can read to each other.
const CODE_ALPHABET: &[u8; 34] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789";

impl Turn<'_> {
    /// A device that has no token yet.
    pub(super) fn seat_waiting(&mut self, connect: &Connect) {
        let ip = connect.handshake.ip;
        let (here, all) =
            (self.fleet.pairing.waiting.get(&ip).copied().unwrap_or_default(), &self.fleet.pairing.waiting);
        if here >= WAITING_PER_ADDRESS_MAX || all.values().sum::<usize>() >= WAITING_MAX {
            return self.turn_away(connect, Refused::TooManyWaiting, "", "");
        }
        self.fleet.pairing.waiting.insert(ip, here + 1);
        let seat = WaitingSeat { ip, code: None, name: None };
        self.fleet.seats.insert(connect.socket, Seat::Waiting(Box::new(seat)));
        self.fx.accept(connect.socket);
    }

    /// It has gone, and its code with it. The seat itself is its caller's.
    pub(super) fn waiting_left(&mut self, socket: SocketRef) {
        let Some(Seat::Waiting(seat)) = self.fleet.seats.get(&socket) else { return };
        let pairing = &mut self.fleet.pairing;
        if let Some((code, _)) = &seat.code {
            pairing.codes.remove(code);
        }
        if let Some(count) = pairing.waiting.get_mut(&seat.ip) {
            *count -= 1;
            if *count == 0 {
                pairing.waiting.remove(&seat.ip);
            }
        }
    }

    /// `player:pair {deviceName?}`: the code, which stays the same for as long as it is good.
    pub(super) fn on_pair(&mut self, event: &Event) -> Result<Value, Fail> {
        let told = match event.args.parse(0) {
            None | Some(Value::Null) => Map::new(),
            payload => rules::object(payload)?,
        };
        let name = rules::info(&told)?.name;
        let now = self.now.mono;
        let fresh = fresh_code(self.rng, |code| self.fleet.pairing.codes.contains_key(code));
        let Some(Seat::Waiting(seat)) = self.fleet.seats.get_mut(&event.socket) else {
            return Err(Fail::new("FORBIDDEN", "Only a device that waits to be paired may send this"));
        };
        seat.name = name.or(seat.name.take());
        let (code, until) = match seat.code.take() {
            Some((code, until)) if now < until => (code, until),
            ended => {
                ended.and_then(|(code, _)| self.fleet.pairing.codes.remove(&code));
                (fresh, now + CODE_MS)
            }
        };
        seat.code = Some((code.clone(), until));
        self.fleet.pairing.codes.insert(code.clone(), event.socket);
        let expires_at = WallMillis(self.now.wall.0 + until.since(now)).to_string();
        let reply = json!({"code": code, "expiresAt": expires_at});
        self.fx.emit(event.socket, "player:pairing", &reply);
        Ok(reply)
    }

    /// `device:pair {code, deviceId, deviceName?, deviceGroup?}` of an admin.
    pub(super) fn on_device_pair(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let map = rules::object(event.args.parse(0))?;
        let id = rules::id(map.get("deviceId"), "deviceId")?;
        let mut info = rules::info(&map)?;
        let Some(Value::String(code)) = map.get("code") else { return Err(Fail::validation("code is required")) };
        let actor = self.fleet.admin(event.socket).map(AdminSeat::actor).unwrap_or_default();
        let code = code.trim().to_ascii_uppercase();
        let waiting = self.shown_code(&actor.sub, &code)?;
        if let Some(Seat::Waiting(seat)) = self.fleet.seats.get(&waiting) {
            info.name = info.name.or(seat.name.clone());
        }
        // From now on nobody else can use it.
        self.fleet.pairing.codes.remove(&code);
        let asker = Asker::Admin { socket: event.socket, ack: event.ack };
        let change = Change::Pair { waiting, code: code.clone() };
        if let Err(fail) = self.grant(asker, &actor, &id, change, &info) {
            self.fleet.pairing.codes.insert(code, waiting);
            return Err(fail);
        }
        Ok(None)
    }

    /// The device that shows this code. A person who gets too many wrong is not answered for a while.
    fn shown_code(&mut self, sub: &str, code: &str) -> Result<SocketRef, Fail> {
        let (now, sub) = (self.now.mono, sub.to_owned());
        if let Err(exceeded) = self.fleet.pairing.wrong.check(now, &sub) {
            return Err(Fail::new("THROTTLED", "Too many wrong codes").with(self.throttle(exceeded)));
        }
        let socket = self.fleet.pairing.codes.get(code).copied();
        socket.filter(|socket| self.is_code_of(*socket, code, now)).ok_or_else(|| {
            // The check has found a token.
            let _ = self.fleet.pairing.wrong.take(now, &sub);
            Fail::new("PAIR_CODE_UNKNOWN", "No device shows this code, or no longer")
        })
    }

    fn is_code_of(&self, socket: SocketRef, code: &str, now: Millis) -> bool {
        match self.fleet.seats.get(&socket) {
            Some(Seat::Waiting(seat)) => seat.code.as_ref().is_some_and(|(own, until)| own == code && now < *until),
            _ => false,
        }
    }

    /// The device's token is on disk, or could not be put there. Says whether the device is still here to get it.
    pub(super) fn on_paired(&mut self, waiting: SocketRef, code: &str, token: Option<(&Arc<str>, &str)>) -> bool {
        if !matches!(self.fleet.seats.get(&waiting), Some(Seat::Waiting(_))) {
            return false;
        }
        let Some((id, token)) = token else {
            self.fleet.pairing.codes.insert(code.to_owned(), waiting);
            return true;
        };
        self.fx.emit(waiting, "player:paired", &json!({"deviceId": &**id, "authToken": token}));
        self.fx.push(crate::app::effect::Effect::Disconnect { socket: waiting, close: false });
        self.waiting_left(waiting);
        self.fleet.seats.remove(&waiting);
        true
    }
}

/// A code that nobody shows.
fn fresh_code(rng: &mut Rng, is_taken: impl Fn(&str) -> bool) -> String {
    loop {
        let char = |_| char::from(CODE_ALPHABET[rng.below(CODE_ALPHABET.len() as u32) as usize]);
        let code: String = (0..CODE_CHARS).map(char).collect();
        if !is_taken(&code) {
            return code;
        }
    }
}
