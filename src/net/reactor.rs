//! The loop of one core: mailbox, epoll and timers into the shard, then everything it has to say out again. The only
//! place that calls a shard (DESIGN 4.1). One turn reads what is ready, lets the shard work, and flushes each socket once.

use std::io;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use tokio::io::unix::AsyncFd;

use super::callers::Callers;
use super::calls::{Calls, Said};
use super::clock::Clock;
use super::core::Core;
use super::flush;
use super::listen::Doors;
use super::mailbox::Message;
use super::outside::Outside;
use super::ready::{Line, Ready, Taken};
use super::streams::Streams;
use crate::base::ids::{ConnKey, ReqId};
use crate::base::limit::{LATE_TURN_MS, READ_BUFFER_BYTES};
use crate::base::time::{Millis, Now};
use crate::shard::io::Output;
use crate::shard::{Input, Shard};

/// Readiness events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// Messages taken from the mailbox in one turn.
const MESSAGES_PER_TURN_MAX: usize = 1024;
/// How soon a core looks again at a mailbox that was too full to go on.
const OVERFULL_PAUSE: Duration = Duration::from_millis(1);
/// How soon a core that has drained looks again whether the others have.
const DRAINED_PAUSE: Duration = Duration::from_millis(5);
/// How long the tasks of HTTP connections have to write their last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(20);
/// How long those have at the end of a drain who are still sending behind their last answer.
const LAST_READERS: Duration = Duration::from_millis(500);

/// One core's loop.
pub(crate) struct Reactor<O> {
    pub(super) core: Rc<Core>,
    pub(super) shard: Shard,
    outside: O,
    clock: Clock,
    pub(super) poll: Poll,
    events: Events,
    pub(super) doors: Doors,
    pub(super) callers: Callers,
    pub(super) streams: Streams,
    calls: Calls,
    /// Callers that can be written the rest of an answer.
    pub(super) unfinished: Vec<ConnKey>,
    pub(super) ready: Ready,
    pub(super) read_buffer: Box<[u8]>,
    pub(super) scratch: Vec<u8>,
    /// Waits for the other cores only.
    drained: bool,
}

impl<O: Outside> Reactor<O> {
    /// `sockets` are the core's own, one for each listener.
    pub(crate) fn new(
        core: Rc<Core>,
        shard: Shard,
        outside: O,
        clock: Clock,
        sockets: Vec<TcpListener>,
    ) -> io::Result<Reactor<O>> {
        let poll = Poll::new()?;
        Ok(Reactor {
            core,
            shard,
            outside,
            clock,
            doors: Doors::new(sockets, poll.registry())?,
            callers: Callers::new(Millis::from(clock.started.elapsed())),
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            streams: Streams::default(),
            calls: Calls::default(),
            unfinished: Vec::new(),
            ready: Ready::default(),
            read_buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            scratch: Vec::new(),
            drained: false,
        })
    }

    /// Runs until all shards have drained.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let inner = self.poll.registry().as_fd().try_clone_to_owned()?;
        // SAFETY: the AsyncFd owns its descriptor, a duplicate of the epoll set's, and nobody else closes that.
        let epoll = unsafe { AsyncFd::register_with_interest(inner, tokio::io::Interest::READABLE) }?;
        let process = self.core.process.clone();
        let mailbox = &process.mailboxes[usize::from(self.core.id.0)];
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        loop {
            mailbox.rise();
            self.turn()?;
            if self.has_ended() {
                break;
            }
            if !mailbox.fall_asleep() || self.is_busy() {
                // Tasks of this core get their share between two turns.
                tokio::task::yield_now().await;
                self.poll_events()?;
                continue;
            }
            sleep.as_mut().reset(self.wake_at());
            tokio::select! {
                // Bytes that have arrived are read first: by them a deadline may have been met.
                biased;
                guard = epoll.readable() => {
                    let mut guard = guard?;
                    if self.poll_events()? < EVENTS_MAX {
                        guard.clear_ready();
                    }
                }
                () = mailbox.woken() => {}
                () = &mut sleep => {}
            }
        }
        // What was answered last is still to be written by its task, and to be read by whoever is still sending.
        tokio::time::sleep(LAST_ANSWERS).await;
        self.core.process.lingering.ended(LAST_READERS).await;
        Ok(())
    }

    /// This shard has drained and no request waits here; and so for all others, whose clients may poll through this core
    /// and whose tenants may be at home in this shard.
    fn has_ended(&mut self) -> bool {
        if self.shard.has_told_all() {
            // Until then clients that poll come back by new connections to hear of it.
            self.doors.close();
        }
        if !self.drained && self.shard.is_drained() && self.core.waiting() == 0 {
            self.drained = true;
            self.core.process.drained.fetch_add(1, Ordering::AcqRel);
        }
        self.drained && self.core.process.drained.load(Ordering::Acquire) == self.core.process.mailboxes.len()
    }

    /// One turn: inputs, timers, outputs, flushes.
    fn turn(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        let now = self.clock.now();
        let heard_before = self.ready.heard();
        let is_late = self.is_late(now.mono);
        if is_late {
            while self.poll_events()? == EVENTS_MAX {}
        }
        self.ready.begin(now.mono);
        self.finish_answers(now);
        let messages = self.take_messages(now);
        let reads: usize = Line::ALL.into_iter().map(|line| self.read_ready(now, line)).sum();
        // In a late turn other cores and the tasks of HTTP connections have had no time yet to say what they have read.
        let heard = if is_late { heard_before } else { self.ready.heard() };
        let reads = reads + self.receive(now, heard);
        self.shard.on_time(now, heard);
        let emitted = self.shard.has_flushes();
        self.carry_out(now);
        if messages + reads > 0 || emitted {
            self.shard.note_turn(begun.elapsed(), emitted);
        }
        Ok(())
    }

    /// The process did not run when something was due, so that what met a deadline may lie in a socket, unseen.
    fn is_late(&mut self, now: Millis) -> bool {
        let due = [self.shard.deadline(), self.callers.deadline()].into_iter().flatten().min();
        due.is_some_and(|due| now.since(due) >= LATE_TURN_MS)
    }

    fn take_messages(&mut self, now: Now) -> usize {
        for count in 0..MESSAGES_PER_TURN_MAX {
            let Some(message) = self.core.mailbox().take() else { return count };
            self.on_message(now, message);
        }
        MESSAGES_PER_TURN_MAX
    }

    fn on_message(&mut self, now: Now, message: Message) {
        match message {
            Message::Mail(mail) => self.shard.on_input(now, Input::Mail(mail)),
            Message::Request(input) => self.shard.on_input(now, input),
            Message::Answer { req, reply } => self.answer(now, req, reply),
            Message::Adopt(adopted) => self.adopt(now, *adopted),
            Message::Done { ticket, outcome } => self.shard.on_input(now, Input::Done { ticket, outcome }),
            Message::Call { req, app, call, asker } => {
                self.calls.on_call(req, app, asker);
                self.shard.on_input(now, Input::Call { req, app, call });
            }
            Message::Link { app, link, event, credit: _ } => self.shard.on_input(now, Input::Link { app, link, event }),
            Message::Upload { req, news } => self.on_asker(now, req, Said::News(news)),
            Message::Left { req } => self.on_asker(now, req, Said::Left),
            Message::Sample(asked) => {
                let mut sample = self.shard.sample();
                sample.mailbox_depth = self.core.mailbox().depth() as u64;
                // The task that asked may have given up.
                let _ = asked.send(sample);
            }
            Message::Drain { window_ms } => {
                self.shard.on_input(now, Input::Drain { window_ms });
                // What homes say last goes out before their streams and links end.
                self.carry_out(now);
                self.calls.on_drain();
                self.outside.drain();
            }
        }
    }

    /// One read for each socket of a line that has something, within the turn's budget.
    fn read_ready(&mut self, now: Now, line: Line) -> usize {
        if self.is_held_back() {
            return 0;
        }
        let budget = self.ready.budget(line);
        for _ in 0..budget {
            let Some((conn, taken)) =
                self.ready.read_next(line, &mut self.streams, &mut self.callers, &mut self.read_buffer)
            else {
                break;
            };
            match taken {
                Taken::Bytes(count) if self.streams.is_caller(conn) => self.on_call(now, conn, count),
                Taken::Bytes(count) => {
                    self.shard.on_input(now, Input::Bytes { conn, bytes: &mut self.read_buffer[..count] });
                }
                Taken::Nothing => {}
                Taken::Gone { .. } if self.streams.is_caller(conn) => self.on_hung_up(now, conn),
                Taken::Gone { broken } => self.shard.on_input(now, Input::Gone { conn, broken }),
            }
        }
        budget
    }

    /// Everything the shard has to say: outputs, and each socket's flush. A flush may end a connection, which is an output.
    fn carry_out(&mut self, now: Now) {
        loop {
            while let Some(output) = self.shard.next_output() {
                self.on_output(now, output);
            }
            if !self.shard.has_flushes() {
                return;
            }
            while let Some(conn) = self.shard.next_flush() {
                self.flush(conn);
            }
        }
    }

    fn on_output(&mut self, now: Now, output: Output) {
        match output {
            Output::Respond { req, reply } if req.shard == self.core.id => self.answer(now, req, reply),
            Output::Respond { req, reply } => self.core.send(req.shard, Message::Answer { req, reply }),
            Output::Mail { to, mail } => self.core.send(to, Message::Mail(mail)),
            Output::Job { app, purpose, job } => self.outside.job(app, purpose, job),
            Output::Link { app, link, order } => self.outside.link(app, link, order),
            Output::LinkFlow { app, link, flow } => self.outside.link_flow(app, link, flow),
            Output::Finish { conn } => {
                if let Some(stream) = self.streams.get_mut(conn) {
                    // A connection that is broken already tells so when it is read.
                    let _ = stream.tcp.shutdown(Shutdown::Write);
                }
            }
            Output::Pause { conn } => self.ready.pause(conn, true, &mut self.streams),
            Output::Resume { conn } => self.ready.pause(conn, false, &mut self.streams),
            Output::Close { conn } => drop(self.streams.remove(conn)),
            Output::Decided { req, verdict } => self.decide(now, req, verdict),
            Output::Left { ip } => self.core.process.guard.leave(ip),
            Output::Answer { req, app, answer } => self.on_asker(now, req, Said::Answer(app, answer)),
        }
    }

    /// Something is said of a call, which its home may have to hear.
    fn on_asker(&mut self, now: Now, req: ReqId, said: Said) {
        if let Some(input) = self.calls.on_said(req, said) {
            self.shard.on_input(now, input);
        }
    }

    fn flush(&mut self, conn: ConnKey) {
        let (streams, scratch) = (&mut self.streams, &mut self.scratch);
        self.shard.flush(conn, |slices| match streams.get_mut(conn) {
            Some(stream) => flush::write(&stream.tcp, slices, scratch),
            None => 0,
        });
    }

    /// Takes the kernel's readiness events; a full batch means that there may be more.
    fn poll_events(&mut self) -> io::Result<usize> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            if self.doors.mark(event.token()) {
                continue;
            }
            let Some(conn) = self.streams.of_token(event.token()) else { continue };
            if event.is_writable() {
                self.shard.on_writable(conn);
                self.unfinished.extend(self.callers.is_writing(conn).then_some(conn));
            }
            if event.is_read_closed() || event.is_error() {
                self.ready.mark_ended(conn, &mut self.streams);
            } else if event.is_readable() {
                self.ready.mark(conn, &mut self.streams);
            }
        }
        Ok(count)
    }

    /// Another core has more mail than it can take: nothing is read until it has caught up (DESIGN 4.4).
    fn is_held_back(&self) -> bool {
        self.core.process.mailboxes.len() > 1 && self.core.process.mailboxes.iter().any(|mailbox| mailbox.is_overfull())
    }

    fn is_busy(&self) -> bool {
        self.shard.has_flushes()
            || self.shard.has_backlog()
            || self.doors.is_waited_at()
            || !self.ready.is_empty() && !self.is_held_back()
    }

    fn wake_at(&mut self) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        if !self.ready.is_empty() {
            return now + OVERFULL_PAUSE;
        }
        if self.drained {
            return now + DRAINED_PAUSE;
        }
        let deadlines = [self.shard.deadline(), self.callers.deadline(), self.doors.deadline()];
        match deadlines.into_iter().flatten().min() {
            Some(deadline) => tokio::time::Instant::from_std(self.clock.started + Duration::from_millis(deadline.0)),
            None => now + Duration::from_secs(3600),
        }
    }
}
