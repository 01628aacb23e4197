//! WebSockets of others than Socket.IO clients: how they are let in, spoken with, and lost, on the shard of their home and on
//! another one.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::identity::Identity;
use crate::app::job::Outcome;
use crate::app::link::{Admission, LinkEvent, LinkId, LinkMessage, LinkOrder, Terms};
use crate::app::{Application, Asked, AuthFailure, Context, Entity, Home, Refusal, Tally};
use crate::apps::lab::Lab;
use crate::base::ids::{Key, LinkRef, ShardId};
use crate::base::limit::{
    LINK_ADMIT_TIMEOUT_MS, LINK_ARRIVALS_MAX, LINK_IN_MESSAGES_MAX, LINK_OUT_BYTES_MAX, LINK_OUT_MESSAGES_MAX,
    PARKED_EVENTS_LONG,
};
use crate::shard::io::Verdict;
use crate::shard::testing::socket::Frame;
use crate::shard::testing::{Peer, Setup, World};
use crate::wire::frame::Opcode;

/// Lets in whoever asks by `admit`, writes down what happens, and does what it is told:
/// `@N admit|refuse|tell TEXT|burst COUNT BYTES|close CODE|pause|resume` about the N-th that has arrived, and `save`, behind which
/// everything waits for the store, and `seize`, by which it closes what is no link of its own.
struct Doorman {
    log: Sender<String>,
    arrived: Vec<LinkId>,
}

const TERMS: Terms = Terms { message_bytes_max: 1_000, ping_interval_ms: 10_000, ping_timeout_ms: 5_000 };

impl Doorman {
    fn number(&self, link: LinkId) -> usize {
        self.arrived.iter().position(|known| *known == link).expect("it has arrived before")
    }

    fn obeys(&self, order: &str, fx: &mut Effects) {
        let mut words = order.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let link = self.arrived[word().parse::<usize>().expect("a number")];
        match word() {
            "admit" => fx.admit(link, Admission { subprotocol: Some("v2".into()), terms: TERMS }),
            "refuse" => fx.refuse_link(link, 403, "not you"),
            "tell" => fx.tell(link, LinkMessage::text(word())),
            "burst" => {
                let (count, bytes) = (word().parse().expect("a number"), word().parse().expect("a number"));
                (0..count).for_each(|_| fx.tell(link, LinkMessage::Binary(vec![7; bytes].into())));
            }
            "close" => fx.close_link(link, word().parse().expect("a code"), "enough"),
            "pause" => fx.push(Effect::Link { link, order: LinkOrder::Pause }),
            "resume" => fx.push(Effect::Link { link, order: LinkOrder::Resume }),
            other => panic!("{other}"),
        }
    }
}

impl Application for Doorman {
    fn admit(&self, verified: Result<Arc<Identity>, AuthFailure>, _: &Asked<'_>) -> Result<Arc<Identity>, Refusal> {
        Ok(verified.unwrap_or_default())
    }
    fn home(&self, _: &Identity) -> Home {
        Home::Local
    }
    fn entity(&self, input: &AppInput) -> Option<Entity> {
        matches!(input, AppInput::Link { .. }).then(|| Entity("e".into()))
    }
    fn handle(&mut self, _: &mut Context<'_>, input: AppInput, fx: &mut Effects) {
        let AppInput::Link { link, event } = input else { return };
        let said = match event {
            LinkEvent::Arrived(arrival) => {
                self.arrived.push(link);
                if arrival.query == "admit" {
                    let subprotocol = arrival.subprotocols.first().cloned();
                    fx.admit(link, Admission { subprotocol, terms: TERMS });
                }
                format!("arrived {}", arrival.query)
            }
            LinkEvent::Opened { subprotocol } => format!("opened {}", subprotocol.unwrap_or_default()),
            LinkEvent::Message(LinkMessage::Text(text)) => {
                match text.strip_prefix('@') {
                    Some(order) => self.obeys(order, fx),
                    None if text == "seize" => {
                        let link = LinkId::Arrived(LinkRef { shard: ShardId(0), key: Key::default() });
                        fx.close_link(link, 4_004, "");
                    }
                    None if text == "save" => {
                        let (entity, write) = (Entity("e".into()), Vec::new());
                        fx.push(Effect::Commit { entity, write, token: None, then: Vec::new(), or_else: Vec::new() });
                    }
                    None => fx.tell(link, LinkMessage::text(text.to_uppercase())),
                }
                return;
            }
            LinkEvent::Message(LinkMessage::Binary(data)) => return fx.tell(link, LinkMessage::Binary(data)),
            LinkEvent::Closed { why } => format!("closed {why:?}"),
        };
        self.log.send(format!("{} {said}", self.number(link))).expect("the test listens");
    }
    fn name(&self) -> &'static str {
        "door"
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

struct House {
    world: World,
    log: Receiver<String>,
}

fn house(shards: u16) -> House {
    let (sender, log) = channel();
    let world = World::with(Setup { shards, ..Setup::default() }, || {
        let door = Doorman { log: sender.clone(), arrived: Vec::new() };
        vec![("/lab", Box::new(Lab::default())), ("/door", Box::new(door))]
    });
    House { world, log }
}

const DOOR: u16 = 1;

impl House {
    /// What the application has written down since it was asked last.
    fn says(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// One who has been let in, and nothing is left to be said of that.
    fn guest(&self) -> Peer {
        let guest = self.world.asks(DOOR, "admit").opens();
        self.says();
        guest
    }

    /// Nobody has left anything, and every place has been given back.
    fn is_empty(&self, places: usize) {
        self.world.assert_empty();
        assert_eq!(self.world.left().len(), places);
    }
}

#[test]
fn one_who_is_let_in_speaks_with_its_home_wherever_that_is() {
    for shards in [1, 2, 4] {
        let house = house(shards);
        for shard in 0..shards {
            let guest = house.world.next_on(shard).asks(DOOR, "admit");
            let Some(Verdict::Admitted { subprotocol, .. }) = guest.verdict() else { panic!("it waits") };
            assert_eq!(subprotocol.as_deref(), Some("v1"));
            let guest = guest.opens();
            assert_eq!(house.says(), [format!("{shard} arrived admit"), format!("{shard} opened v1")]);
            guest.sends_together(&["one", "two"]);
            guest.sends_binary(&[1, 2]);
            guest.gets("ONE");
            guest.gets("TWO");
            guest.gets_binary(&[1, 2]);
            guest.sends_frame(Opcode::Text, false, b"pie");
            guest.sends_frame(Opcode::Ping, true, b"there?");
            guest.sends_frame(Opcode::Continuation, true, b"ces");
            guest.gets_pong(b"there?");
            guest.gets("PIECES");
            guest.sends_close(Some(4_001));
            guest.gets_close(Some(4_001));
            guest.gets_end();
            let closed = format!("{shard} closed Peer {{ code: Some(4001), reason: \"\" }}");
            assert_eq!(house.says(), [closed]);
        }
        house.is_empty(usize::from(shards));
    }
}

#[test]
fn one_who_waits_is_let_in_later_refused_or_timed_out_and_hears_so_once() {
    for shards in [1, 2] {
        let house = house(shards);
        let guest = house.guest();
        let [later, refused, closed, forgotten] = [(); 4].map(|()| house.world.asks(DOOR, ""));
        assert_eq!([&later, &refused, &closed, &forgotten].map(|asker| asker.status()), [None; 4]);
        guest.sends("@1 tell nobody");
        guest.sends("@1 admit");
        guest.sends("@2 refuse");
        guest.sends("@3 close 1000");
        guest.sends("@2 admit");
        assert_eq!([&later, &refused, &closed].map(|asker| asker.status()), [Some(101), Some(403), Some(403)]);
        let not_you = Verdict::TurnedAway { status: 403, body: "not you".into() };
        assert_eq!(refused.verdict(), Some(not_you));
        let later = later.opens();
        later.gets_nothing();
        later.hangs_up(true);
        guest.hangs_up(false);
        house.world.advance(LINK_ADMIT_TIMEOUT_MS - 1);
        assert_eq!(forgotten.status(), None);
        house.world.advance(1);
        assert_eq!(forgotten.status(), Some(504));
        let mut said = house.says();
        said.retain(|line| line.contains("opened") || line.contains("closed"));
        said.sort();
        let expected = [
            "0 closed Failed(Cut)",
            "1 closed Failed(Cut)",
            "1 opened v2",
            "2 closed Ours",
            "3 closed Ours",
            "4 closed Failed(TimedOut)",
        ];
        assert_eq!(said, expected, "{shards}");
        house.is_empty(5);
    }
}

#[test]
fn ten_thousand_arrivals_that_are_never_admitted_are_bounded_and_all_are_answered() {
    let house = house(2);
    let askers: Vec<_> = (0..10_000).map(|_| house.world.asks(DOOR, "")).collect();
    let answered = |status| askers.iter().filter(|asker| asker.status() == Some(status)).count();
    assert_eq!(answered(503), 10_000 - 2 * LINK_ARRIVALS_MAX);
    assert_eq!(house.says().len(), 2 * LINK_ARRIVALS_MAX, "the application hears of no more");
    house.world.advance(LINK_ADMIT_TIMEOUT_MS);
    assert_eq!(answered(504), 2 * LINK_ARRIVALS_MAX);
    assert!(house.says().iter().all(|line| line.contains("closed Failed(TimedOut)")));
    house.is_empty(10_000);
    house.guest().hangs_up(false);
    house.is_empty(10_001);
}

#[test]
fn one_who_leaves_while_it_waits_is_told_of_once_and_an_admission_that_comes_late_finds_nobody() {
    let house = house(2);
    let guest = house.guest();
    let asker = house.world.asks(DOOR, "");
    asker.leaves();
    guest.sends("@1 admit");
    assert_eq!(asker.status(), None);
    // The home has decided, and the verdict is on its way when the asker leaves.
    house.world.holds_101s();
    let asker = house.world.asks(DOOR, "admit");
    assert!(asker.sent(false).is_none());
    assert_eq!(house.says(), ["1 arrived ", "1 closed Failed(Cut)", "2 arrived admit", "2 closed Failed(Cut)"]);
    guest.hangs_up(false);
    house.is_empty(3);
}

#[test]
fn what_is_told_before_the_101_is_out_waits_for_it() {
    for shards in [1, 2] {
        let house = house(shards);
        let guest = house.guest();
        house.world.holds_101s();
        let [asker, closed, flooded] = [(); 3].map(|()| house.world.asks(DOOR, "admit"));
        for order in ["@1 tell first", "@1 tell second", "@1 pause", "@2 close 4000", "@3 burst 2000 1"] {
            guest.sends(order);
        }
        let said = house.says();
        assert!(
            said.contains(&"2 closed Ours".to_owned()) && said.contains(&"3 closed TooSlow".to_owned()),
            "{said:?}"
        );
        let peer = asker.sent(true).expect("it is open");
        peer.gets("first");
        peer.gets("second");
        assert!(peer.is_held());
        for asker in [closed, flooded] {
            let nobody = asker.sent(true).expect("it is open");
            nobody.gets_close(Some(1_000));
            nobody.sends_close(Some(1_000));
            nobody.gets_end();
        }
        assert_eq!(house.says(), ["1 opened v1"]);
        [guest, peer].iter().for_each(|peer| peer.hangs_up(false));
        house.is_empty(4);
    }
}

#[test]
fn its_home_closes_it_behind_what_it_was_told_and_hears_nothing_more() {
    for shards in [1, 2] {
        let house = house(shards);
        let (guest, other) = (house.guest(), house.guest());
        guest.sends_together(&["@1 tell last", "@1 close 4002", "@1 tell never", "@1 close 4003"]);
        other.gets("last");
        other.gets_close(Some(4_002));
        assert_eq!(house.says(), ["1 closed Ours"]);
        other.sends("too late");
        other.sends_close(Some(4_002));
        other.gets_end();
        // A code that must not be sent is told as 1000.
        guest.sends("@0 close 1005");
        guest.gets_close(Some(1_000));
        guest.hangs_up(false);
        assert_eq!(house.says(), ["0 closed Ours"]);
        house.is_empty(2);
    }
}

#[test]
fn what_breaks_a_rule_is_closed_with_its_code_and_its_home_hears_why() {
    let unmasked = vec![0x81, 2, b'h', b'i'];
    let reserved = vec![0xF1, 0x80, 0, 0, 0, 0];
    let not_text = vec![0x81, 0x81, 0, 0, 0, 0, 0xFF];
    let too_large = [&[0x82, 0xFE, 0x03, 0xE9][..], &[0; 4]].concat();
    let garbage = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    for (what, mut bytes, code, why) in [
        ("unmasked", unmasked, 1_002, "Protocol"),
        ("reserved bits", reserved, 1_002, "Protocol"),
        ("no UTF-8", not_text, 1_007, "Protocol"),
        ("over the limit", too_large, 1_009, "TooLarge"),
        ("garbage", garbage, 1_002, "Protocol"),
    ] {
        for shards in [1, 2] {
            let house = house(shards);
            let guest = house.guest();
            guest.sends("before");
            guest.sends_bytes(&mut bytes);
            guest.gets("BEFORE");
            assert_eq!(guest.next(), Some(Frame::Close(Some(code))), "{what}");
            guest.gets_end();
            assert_eq!(house.says(), [format!("0 closed Failed({why})")], "{what}");
            house.is_empty(1);
        }
    }
}

#[test]
fn a_message_that_is_as_large_as_it_may_be_comes_and_one_that_is_broken_off_does_not() {
    let house = house(2);
    let guest = house.guest();
    guest.sends(&"x".repeat(TERMS.message_bytes_max));
    guest.gets(&"X".repeat(TERMS.message_bytes_max));
    guest.sends_frame(Opcode::Text, false, b"half of i");
    guest.hangs_up(true);
    assert_eq!(house.says(), ["0 closed Failed(Cut)"]);
    house.is_empty(1);
}

#[test]
fn one_that_never_reads_is_closed_when_too_much_waits_for_it() {
    // The last one would be the one too many; a byte of it has been taken.
    for (count, bytes) in [(LINK_OUT_MESSAGES_MAX, 10), (LINK_OUT_BYTES_MAX / 65_536, 65_500)] {
        for shards in [1, 2] {
            let house = house(shards);
            let (guest, other) = (house.guest(), house.guest());
            other.reads_only(1);
            guest.sends(&format!("@1 burst {count} {bytes}"));
            assert_eq!(house.says(), [""; 0], "so much may wait");
            guest.sends(&format!("@1 burst {} {bytes}", 1 + 65_536 / bytes));
            assert_eq!(house.says(), ["1 closed TooSlow"]);
            assert!(other.is_closed());
            guest.sends("still");
            guest.gets("STILL");
            guest.hangs_up(false);
            house.is_empty(2);
        }
    }
}

#[test]
fn one_that_takes_nothing_for_too_long_is_closed_and_one_that_is_slow_is_not() {
    let house = house(2);
    let (guest, slow, stuck) = (house.guest(), house.guest(), house.guest());
    [&slow, &stuck].iter().for_each(|peer| peer.reads_only(1));
    guest.sends("@1 burst 100 100");
    guest.sends("@2 burst 100 100");
    let stall_ms = Setup::default().limits.outbox_stall_ms;
    for _ in 0..12 {
        house.world.advance(stall_ms / 10);
        guest.sends_frame(Opcode::Pong, true, b"");
        slow.reads_only(10);
    }
    assert_eq!(house.says(), ["2 closed TooSlow"]);
    slow.reads_on();
    assert_eq!(slow.takes_all().iter().filter(|frame| matches!(frame, Frame::Binary(_))).count(), 100);
    [guest, slow].iter().for_each(|peer| peer.hangs_up(false));
    house.is_empty(3);
}

#[test]
fn a_silent_one_is_pinged_and_given_up_and_one_that_says_anything_is_not() {
    for shards in [1, 2] {
        let house = house(shards);
        let [silent, answers, talks] = [house.guest(), house.guest(), house.guest()];
        house.world.advance(TERMS.ping_interval_ms - 1);
        silent.gets_nothing();
        talks.sends("x");
        house.world.advance(1);
        assert_eq!([&silent, &answers].map(|peer| peer.next()), [Some(Frame::Ping(vec![])), Some(Frame::Ping(vec![]))]);
        answers.sends_frame(Opcode::Pong, true, b"");
        house.world.advance(TERMS.ping_timeout_ms);
        silent.gets_close(Some(1_008));
        assert_eq!(house.says(), ["0 closed Silent"]);
        talks.gets("X");
        answers.gets_nothing();
        house.world.advance(TERMS.ping_interval_ms - TERMS.ping_timeout_ms);
        assert_eq!([&answers, &talks].map(|peer| peer.next()), [Some(Frame::Ping(vec![])), Some(Frame::Ping(vec![]))]);
        [silent, answers, talks].iter().for_each(|peer| peer.hangs_up(false));
        house.world.advance(60_000);
        house.is_empty(3);
    }
}

#[test]
fn a_paused_one_is_not_read_and_not_called_silent_until_it_is_resumed() {
    for shards in [1, 2] {
        let house = house(shards);
        let (guest, other) = (house.guest(), house.guest());
        guest.sends("@1 pause");
        other.sends("kept");
        assert!(other.is_held());
        for _ in 0..10 {
            house.world.advance(TERMS.ping_interval_ms / 2);
            guest.sends_frame(Opcode::Pong, true, b"");
        }
        assert_eq!(house.says(), [""; 0]);
        guest.sends_together(&["@1 pause", "@1 resume"]);
        assert!(!other.is_held());
        let frames = other.takes_all();
        assert_eq!(frames.last(), Some(&Frame::Text("KEPT".into())), "{frames:?}");
        // One that ends while it is held leaves nothing.
        guest.sends("@1 pause");
        guest.sends("@1 close 4000");
        other.takes_all();
        other.sends_close(Some(4_000));
        other.gets_end();
        guest.hangs_up(false);
        house.is_empty(2);
    }
}

#[test]
fn a_home_that_waits_for_its_store_holds_those_who_flood_it_and_loses_nothing() {
    for shards in [1, 2, 4] {
        let house = house(shards);
        house.world.answers_jobs(|_| None);
        let (guest, other) = (house.guest(), house.guest());
        guest.sends("save");
        let texts: Vec<String> = (0..2 * PARKED_EVENTS_LONG).map(|number| number.to_string()).collect();
        for read in texts.chunks(500) {
            other.sends_together(&read.iter().map(String::as_str).collect::<Vec<_>>());
        }
        assert!(other.is_held(), "{shards}");
        house.world.advance(30_000);
        house.world.finishes_job(Outcome::Written(vec![]));
        assert!(!other.is_held());
        let answers: Vec<Frame> = other.takes_all();
        let texts: Vec<Frame> = texts.into_iter().map(Frame::Text).collect();
        assert_eq!(answers.iter().filter(|frame| matches!(frame, Frame::Text(_))).count(), texts.len(), "{shards}");
        assert!(answers.into_iter().filter(|frame| matches!(frame, Frame::Text(_))).eq(texts), "in order");
        [guest, other].iter().for_each(|peer| peer.hangs_up(false));
        house.is_empty(2);
    }
}

#[test]
fn what_is_on_its_way_to_a_home_that_does_not_run_is_bounded() {
    let house = house(2);
    let guests = [house.guest(), house.guest()];
    house.world.holds_mail();
    let texts: Vec<String> = (0..4 * LINK_IN_MESSAGES_MAX).map(|number| number.to_string()).collect();
    for guest in &guests {
        guest.sends_together(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // One of them is at home on its own shard, and its home runs.
    assert_eq!(guests.iter().filter(|guest| guest.is_held()).count(), 1);
    let counted = house.world.sum(|shard| shard.stats.links[usize::from(DOOR)].messages_in);
    assert_eq!(counted as usize, texts.len() + LINK_IN_MESSAGES_MAX);
    house.world.delivers_mail();
    for guest in &guests {
        assert!(!guest.is_held());
        assert_eq!(guest.takes_texts(), texts);
        guest.hangs_up(false);
    }
    house.is_empty(2);
}

#[test]
fn a_drain_closes_the_open_ones_over_its_window_and_turns_away_those_who_wait() {
    for shards in [1, 2] {
        let house = house(shards);
        let guests: Vec<Peer> = (0..4).map(|_| house.guest()).collect();
        let waiting = house.world.asks(DOOR, "");
        house.says();
        house.world.drains(1_000);
        assert_eq!(waiting.status(), Some(503));
        assert_eq!(house.world.asks(DOOR, "admit").status(), Some(503));
        house.world.advance(1_000);
        for guest in &guests {
            guest.gets_close(Some(1_001));
            guest.sends_close(Some(1_001));
            guest.gets_end();
        }
        assert_eq!(house.says().iter().filter(|line| line.ends_with("closed Failed(Unavailable)")).count(), 5);
        assert!(house.world.is_drained());
        house.is_empty(6);
    }
}

#[test]
fn an_application_reaches_neither_the_link_of_another_nor_one_by_a_name_that_is_over() {
    let house = house(1);
    let lab = house.world.asks(0, "");
    assert_eq!(lab.status(), Some(101), "the lab lets everybody in");
    let (lab, guest) = (lab.opens(), house.guest());
    guest.sends("seize");
    lab.sends("still mine");
    lab.gets("still mine");
    lab.hangs_up(false);
    // Its place is another one's now, and the old name finds nobody.
    let heir = house.guest();
    guest.sends("seize");
    heir.sends("here");
    heir.gets("HERE");
    [guest, heir].iter().for_each(|peer| peer.hangs_up(false));
    house.is_empty(3);
}
