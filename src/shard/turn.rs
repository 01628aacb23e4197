//! The conveyor: one input, from its arrival to what leaves. Read this file first.
//!
//! ```text
//!  IN    on_input ─► polling / websocket ─► session ─► sockets ─► local queue ─► homes (applications)
//!                     requests, frames       packets    events                        │ decisions
//!  OUT   next_output, next_flush ◄─ outboxes ◄─ send ◄─ effects ◄─────────────────────┘
//! ```
//! The shell calls [`Shard::on_input`] as often as it has something, then [`Shard::on_time`], then takes everything
//! from [`Shard::next_output`] and flushes every socket of [`Shard::next_flush`] once. A flush may lead to new outputs (a
//! closed connection, a drained reader that is told more), so the shell repeats both until neither has anything.

use super::Shard;
use super::io::{Input, Mail, Output, Purpose, Ticket};
use crate::app::Context;
use crate::app::event::AppInput;
use crate::app::job::Outcome;
use crate::base::ids::{AppId, ConnKey, ShardId};
use crate::base::time::{Millis, Now};

impl Shard {
    /// Takes one input in and carries it through the applications at home here.
    pub fn on_input(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Bytes { conn, bytes } => self.on_bytes(conn, bytes),
            Input::Connected { conn, hello } => self.on_connected(conn, hello),
            Input::Upgraded { conn, sid, base64 } => self.on_upgraded(conn, sid, base64),
            Input::Arrived { req, coming } => self.on_arrived(req, *coming),
            Input::ArrivalGone { req } => self.on_arrival_gone(req),
            Input::LinkOpen { link, conn } => self.on_link_open(link, conn),
            Input::Gone { conn, broken } => self.on_gone(conn, broken),
            Input::Handshake { req, hello } => self.on_handshake(req, hello),
            Input::Poll { req, sid } => self.on_poll(req, sid),
            Input::PostOpened { req, sid, acceptable } => self.on_post_opened(req, sid, acceptable),
            Input::PostBody { req, sid, body } => self.on_post_body(req, sid, body),
            Input::WrongMethod { req, sid } => self.on_wrong_method(req, sid),
            Input::UpgradeAsked { req, sid } => self.on_upgrade_asked(req, sid),
            Input::Aborted { req, sid } => self.on_aborted(req, sid),
            Input::Arriving { sid } => self.on_moving(&sid, Shard::hear),
            Input::Leaving { sid } => self.on_moving(&sid, Shard::wait_on),
            Input::Mail(mail) => mail.into_iter().for_each(|mail| self.on_mail(mail)),
            Input::Done { ticket, outcome } => self.on_done(ticket, outcome),
            Input::Call { req, app, call } => self.homes.local.push_back((app, AppInput::Call { req, call })),
            Input::Upload { req, app, news } => self.homes.local.push_back((app, AppInput::Upload { req, news })),
            Input::AskerLeft { req, app, why } => self.homes.local.push_back((app, AppInput::Left { req, why })),
            Input::Link { app, link, event } => self.homes.local.push_back((app, AppInput::Link { link, event })),
            Input::Drain { window_ms } => self.on_drain(window_ms),
        }
        self.run_homes();
        self.assert_sound();
    }

    /// Fires what is due. All that had arrived by `heard` has been read, on every socket of this core: a client that is
    /// silent since then may be declared dead.
    pub fn on_time(&mut self, now: Now, heard: Millis) {
        self.now = now;
        self.heard = heard;
        self.run_homes();
        self.take_bodies();
        self.thaw();
        while let Some(timer) = self.wheel.pop(now.mono) {
            self.on_timer(timer);
            self.run_homes();
        }
    }

    /// What the shell has to do next; `None` when this turn has said everything.
    pub fn next_output(&mut self) -> Option<Output> {
        if let Some(output) = self.out.outputs.pop_front() {
            return Some(output);
        }
        if let Some(output) = self.next_poll_answer() {
            return Some(output);
        }
        if self.shed() {
            return self.next_output();
        }
        let to = self.out.mail.iter().position(|mail| !mail.is_empty())?;
        Some(Output::Mail { to: ShardId(to as u16), mail: std::mem::take(&mut self.out.mail[to]) })
    }

    /// The next socket that has something to write in this turn; give each to [`Shard::flush`] once.
    pub fn next_flush(&mut self) -> Option<ConnKey> {
        let conn = self.transports.dirty_conns.pop()?;
        if let Some(lane) = self.transports.conns.lane_mut(conn) {
            lane.dirty = false;
        }
        Some(conn)
    }

    /// Whether this turn has produced anything to write.
    pub fn has_flushes(&self) -> bool {
        !self.transports.dirty_conns.is_empty()
    }

    /// Runs the applications until nothing is left for them. An application's effects are applied after its handler has
    /// returned, in order, and before the next input.
    pub(super) fn run_homes(&mut self) {
        while let Some((app, input)) = self.homes.local.pop_front() {
            let mut out = std::mem::take(&mut self.homes.decisions);
            let authenticator = &self.config.authenticator;
            let mut cx = Context { now: self.now, rng: &mut self.rng, authenticator };
            self.homes.apps[usize::from(app.0)].on_input(&mut cx, input, &mut out);
            self.apply_decisions(app, out);
        }
    }

    /// A job's outcome goes to the home that asked, whoever is still connected (DESIGN 4.7).
    fn on_done(&mut self, ticket: Ticket, outcome: Outcome) {
        let Ticket { app, purpose } = ticket;
        let mut out = std::mem::take(&mut self.homes.decisions);
        let authenticator = &self.config.authenticator;
        let mut cx = Context { now: self.now, rng: &mut self.rng, authenticator };
        let home = &mut self.homes.apps[usize::from(app.0)];
        match purpose {
            Purpose::Token(token) => home.on_input(&mut cx, AppInput::Done { token, outcome }, &mut out),
            Purpose::Load(entity) => home.on_loaded(&mut cx, &entity, outcome, &mut out),
            Purpose::Commit(number) => home.on_committed(&mut cx, number, outcome, &mut out),
        }
        self.apply_decisions(app, out);
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Input { app, input } => self.homes.local.push_back((app, input)),
            Mail::Directives { app, home, list } => self.apply_directives(app, home, list),
            Mail::Mark { link } => self.on_mark(link),
            Mail::Marked { link } => self.on_marked(link),
            Mail::Acked { app, id, answers, missing } => self.on_acked(app, id, answers, missing),
        }
        self.run_homes();
    }

    /// Hands an input to a home: to the local queue, or by mail.
    pub(super) fn hand_home(&mut self, app: AppId, home: ShardId, input: AppInput) {
        if home == self.id {
            self.homes.local.push_back((app, input));
        } else {
            self.out.mail[usize::from(home.0)].push(Mail::Input { app, input });
        }
    }
}
