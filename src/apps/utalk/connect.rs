//! Coming and going: who is let in, the rooms of a socket, a token that ends or is renewed, and a user who is expelled.

use std::sync::Arc;

use serde_json::{Value, json};

use super::dialect::EMAIL_REQUIRED;
use super::hyphen::is_email;
use super::payload::Fields;
use super::rules::AUTHENTICATION_FAILED;
use super::scope::Seat;
use super::tables::users;
use super::turn::Turn;
use super::user::{Account, Presence, User};
use super::who::{ADMIN, AGENT, Role, Who, scope_of};
use super::wish::Wait;
use crate::app::AuthFailure;
use crate::app::effect::{Delivery, Effect, Emission, Room, Target};
use crate::app::event::{Connect, Event};
use crate::app::identity::{AuthMethod, Identity};
use crate::app::kit::ack::Fail;
use crate::app::kit::rate::Meter;
use crate::base::ids::{NspIndex, SocketRef};
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// A client asks to come in.
    pub(super) fn on_connect(&mut self, connect: &Connect) {
        let who = Who::of(&connect.identity);
        let judged = self.judge(&who, connect.nsp).and_then(|()| must_have_email(connect));
        if let Err((message, code)) = judged {
            self.shared.operation.tick.errors.connection += 1;
            return self.fx.refuse(connect.socket, message, Some(json!({"code": code})));
        }
        self.shared.operation.tick.opened += 1;
        self.fx.accept(connect.socket);
        self.know(&who, connect.identity.name());
        self.seat(connect, who);
    }

    fn judge(&self, who: &Who, nsp: NspIndex) -> Result<(), (&'static str, &'static str)> {
        if !may_enter(who.role, nsp) {
            return Err((AUTHENTICATION_FAILED, FORBIDDEN));
        }
        let user = self.scope.users.get(&who.user);
        if user.is_some_and(|user| user.status != Account::Active) {
            return Err((AUTHENTICATION_FAILED, "ACCOUNT_SUSPENDED"));
        }
        let sockets = self.scope.here.sockets(&who.user).iter();
        let here = sockets.filter(|socket| self.scope.seats.get(socket).is_some_and(|seat| seat.nsp == nsp)).count();
        if here >= self.settings.sockets_per_user_max {
            return Err(("Too many connections", "TOO_MANY_SOCKETS"));
        }
        Ok(())
    }

    /// Keeps what a token says of its user, where that is new.
    fn know(&mut self, who: &Who, name: Option<&str>) {
        self.doubt(&who.user);
        let name: Option<Arc<str>> = name.map(Arc::from);
        let known = self.scope.users.get_mut(&who.user);
        let user = match known {
            Some(user) => {
                let is_same = user.is_stored
                    && user.email == who.email
                    && *user.role == *who.role.word()
                    && (name.is_none() || user.name == name);
                if is_same {
                    return;
                }
                (user.email, user.role) = (who.email.clone(), who.role.word().into());
                user.name = name.or(user.name.take());
                user.clone()
            }
            None => {
                let user = User {
                    id: who.user.clone(),
                    email: who.email.clone(),
                    name,
                    role: who.role.word().into(),
                    status: Account::Active,
                    chosen: Presence::Online,
                    created_at: self.now.wall,
                    last_seen: None,
                    is_stored: false,
                };
                self.scope.users.insert(who.user.clone(), user.clone());
                user
            }
        };
        self.write(vec![users::put(&self.scope.key, &user)], Wait::User(user.id));
    }

    /// A user's row is on disk; one that is not is written when the user comes again.
    pub(super) fn on_user_written(&mut self, id: &Arc<str>, written: bool) {
        if let Some(user) = self.scope.users.get_mut(id) {
            user.is_stored = written;
        }
    }

    fn seat(&mut self, connect: &Connect, who: Who) {
        let Connect { socket, nsp, dialect, .. } = *connect;
        let (rooms, who, speaks) = (self.rooms_of(&who), Arc::new(who), dialect.is_some());
        self.scope.counts[usize::from(nsp.0)] += 1;
        self.scope.speakers += usize::from(speaks);
        let user = &who.user;
        let was = (self.scope.here.is_here(user), self.scope.seen_as(user));
        let seat = Seat { who: who.clone(), nsp, meter: Meter::default(), speaks, joined: Vec::new() };
        self.scope.seats.insert(socket, seat);
        rooms.into_iter().for_each(|room| self.enter(socket, room));
        self.scope.here.join(user, socket);
        self.note(user, Some(socket), was);
        if speaks {
            self.greet(socket, who);
        }
    }

    fn rooms_of(&self, who: &Who) -> [Room; 3] {
        [self.scope.rooms.all.clone(), self.scope.room_of_role(who.role), self.scope.room_of_user(&who.user)]
    }

    /// A socket has gone.
    pub(super) fn on_disconnect(&mut self, socket: SocketRef) {
        let Some(seat) = self.scope.seats.remove(&socket) else { return };
        self.scope.counts[usize::from(seat.nsp.0)] -= 1;
        self.scope.speakers -= usize::from(seat.speaks);
        for id in &seat.joined {
            self.out_of_room(socket, id, &seat.who);
        }
        let user = &seat.who.user;
        let of_user = self.scope.typing.range((user.clone(), "".into())..).take_while(|((of, _), _)| of == user);
        let typing: Vec<Arc<str>> = of_user.filter(|(_, by)| **by == socket).map(|((_, id), _)| id.clone()).collect();
        for conversation in typing {
            self.stop_typing(&conversation, user);
        }
        self.left(&seat.who.user, socket);
    }

    /// The token has ended, and the socket with it.
    pub(super) fn on_expired(&mut self, socket: SocketRef) {
        let (target, event) = (Target::Socket(socket), Emission::bare("token:expired"));
        self.fx.push(Effect::Emit { target, event, delivery: Delivery::Must });
    }

    /// `auth:refresh`: the same user of the same scope goes on with another token.
    pub(super) fn on_refresh(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let token = Fields::of("auth:refresh", event)?.filled("token", usize::MAX)?;
        let Some(asker) = self.asker(event) else { return Ok(None) };
        match self.renewed(event, &token) {
            Err(fail) => {
                self.fx.emit(event.socket, "auth:failed", &fail);
                self.refuse_behind(&asker, &fail);
            }
            Ok(identity) => {
                let end = identity.expires_at_s.map(|end| WallMillis(end * 1_000).to_string());
                self.become_of(event.socket, &identity);
                self.fx.push(Effect::Identify { socket: event.socket, identity });
                self.answer(&asker, "auth:refreshed", &json!({"userId": asker.who.user, "expiresAt": end}));
            }
        }
        Ok(None)
    }

    fn renewed(&self, event: &Event, token: &str) -> Result<Arc<Identity>, Fail> {
        let refused = |code| Fail::new(code, AUTHENTICATION_FAILED);
        let token = crate::app::identity::intake::bare(token).unwrap_or_default();
        let identity = self.authenticator.verify(token, self.now.wall).map_err(|why| refused(code_of(why)))?;
        let is_same = identity.sub() == event.identity.sub() && scope_of(&identity, self.settings) == *self.scope.key;
        if !is_same || !is_access(&identity) || !may_enter(Role::of(&identity), event.nsp) {
            return Err(refused(FORBIDDEN));
        }
        Ok(identity)
    }

    /// The token may give its user another role, and so other rooms.
    fn become_of(&mut self, socket: SocketRef, identity: &Identity) {
        let who = Who::of(identity);
        let Some(was) = self.scope.seats.get_mut(&socket) else { return };
        let was = std::mem::replace(&mut was.who, Arc::new(who.clone()));
        let (left, entered) = (self.scope.room_of_role(was.role), self.scope.room_of_role(who.role));
        if left != entered {
            self.leave(socket, left);
            self.enter(socket, entered);
        }
        self.know(&who, identity.name());
        self.leave_unreadable(socket, &who);
    }

    /// A socket that reads less than before is out of the rooms that it may not be in.
    fn leave_unreadable(&mut self, socket: SocketRef, who: &Who) {
        let joined = self.scope.seats.get(&socket).map(|seat| seat.joined.clone()).unwrap_or_default();
        for id in joined {
            let settings = self.settings;
            let conversation = self.scope.conversation(&id);
            if !conversation.is_some_and(|conversation| conversation.row.is_readable(who, settings)) {
                self.fx.emit(socket, "left:conversation", &json!({"conversationId": id, "reason": "access_lost"}));
                self.out_of_room(socket, &id, who);
            }
        }
    }

    /// A user may not stay: all its sockets end, and say why.
    pub(super) fn expel(&mut self, user: &Arc<str>) {
        let payload = json!({"reason": "account_suspended", "message": "Tu cuenta ha sido suspendida"});
        for socket in self.scope.here.sockets(user).to_vec() {
            self.fx.emit(socket, "user:expelled", &payload);
            self.fx.push(Effect::Disconnect { socket, close: false });
        }
    }
}

/// People have no name in the dialect but their e-mail. In development nobody has one.
fn must_have_email(connect: &Connect) -> Result<(), (&'static str, &'static str)> {
    let identity = &connect.identity;
    let is_named = connect.dialect.is_none() || identity.method == AuthMethod::Dev;
    match is_named || is_email(identity.email().unwrap_or(identity.sub())) {
        true => Ok(()),
        false => Err((AUTHENTICATION_FAILED, EMAIL_REQUIRED)),
    }
}

/// Whether a namespace is open to a role.
fn may_enter(role: Role, nsp: NspIndex) -> bool {
    match nsp {
        AGENT => matches!(role, Role::Agent | Role::Admin | Role::Service),
        ADMIN => role == Role::Admin,
        _ => true,
    }
}

/// Whether a token is one to come in with.
pub(super) fn is_access(identity: &Identity) -> bool {
    identity.kind() != Some("refresh")
}

/// What a refused token is told.
pub(super) fn code_of(why: AuthFailure) -> &'static str {
    match why {
        AuthFailure::Expired => "TOKEN_EXPIRED",
        AuthFailure::Missing | AuthFailure::Invalid => "UNAUTHENTICATED",
    }
}

const FORBIDDEN: &str = "FORBIDDEN";
