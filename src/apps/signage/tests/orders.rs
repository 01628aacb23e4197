//! Two sockets of one device in every order of connecting, registering, reporting, leaving and crashing, up to some length, beside a
//! model that has one line for each rule (SIGNAGE 9.7, 9.8 and 9.14).

use serde_json::json;

use super::world::{Id, World, by_fleet_token, fleet_world};
use crate::base::close::CloseReason;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Connect,
    Register,
    /// `player:state`, which may register.
    State,
    /// `state:update`, which never does.
    Update,
    Leave,
    Crash,
}

/// What a socket is to its device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    Absent,
    Aux,
    Own,
}

/// The model: two sockets, and what admins have been told.
#[derive(Clone, Default)]
struct Model {
    is: [Option<Is>; 2],
    connected: usize,
    disconnected: usize,
    replaced: [usize; 2],
}

impl Model {
    fn is(&self, who: usize) -> Is {
        self.is[who].unwrap_or(Is::Absent)
    }

    fn may(&self, who: usize, act: Act) -> bool {
        (self.is(who) == Is::Absent) == (act == Act::Connect)
    }

    fn is_online(&self) -> bool {
        (0..2).any(|who| self.is(who) == Is::Own)
    }

    fn does(&mut self, who: usize, act: Act) {
        let registers = act == Act::Register || (act == Act::State && !self.is_online());
        if registers && self.is(who) == Is::Aux {
            if self.is(1 - who) == Is::Own {
                self.is[1 - who] = Some(Is::Absent);
                self.replaced[1 - who] += 1;
            } else {
                self.connected += 1;
            }
            self.is[who] = Some(Is::Own);
        }
        match act {
            Act::Connect => self.is[who] = Some(Is::Aux),
            Act::Leave | Act::Crash => {
                self.disconnected += usize::from(self.is(who) == Is::Own);
                self.is[who] = Some(Is::Absent);
            }
            _ => {}
        }
    }
}

/// Every order of so many acts; the first socket to come is called the first one.
fn orders(length: usize) -> Vec<Vec<(usize, Act)>> {
    let mut all = vec![(vec![(0, Act::Connect)], {
        let mut model = Model::default();
        model.does(0, Act::Connect);
        model
    })];
    for _ in 1..length {
        let acts = [Act::Connect, Act::Register, Act::State, Act::Update, Act::Leave, Act::Crash];
        let pairs = || acts.into_iter().flat_map(|act| [(0, act), (1, act)]);
        let longer = all.iter().flat_map(|(order, model)| {
            pairs().filter(|(who, act)| model.may(*who, *act)).map(move |(who, act)| {
                let (mut order, mut model): (Vec<_>, Model) = (order.clone(), model.clone());
                order.push((who, act));
                model.does(who, act);
                (order, model)
            })
        });
        all = longer.collect();
    }
    all.into_iter().map(|(order, _)| order).collect()
}

fn act(world: &mut World, sockets: &mut [Id; 2], who: usize, act: Act, id: &str) {
    let socket = sockets[who];
    match act {
        Act::Connect => sockets[who] = by_fleet_token(world, json!({"deviceId": id, "deviceGroup": "g1"})),
        Act::Register => world.send(socket, "player:register", json!({"deviceId": id})),
        Act::State => world.send(socket, "player:state", json!({"deviceId": id, "vlc": {"playing": true}})),
        Act::Update => {
            world.send(socket, "state:update", json!({"deviceId": id, "changes": {"vlc": {"playing": false}}}))
        }
        Act::Leave => world.leaves(socket, CloseReason::ClientNamespaceDisconnect),
        Act::Crash => world.times_out(socket, 1_000),
    }
}

#[test]
fn r14_two_sockets_of_one_device_in_every_order() {
    let mut world = fleet_world();
    let admin = world.person("operator", &["g1"]);
    let orders = orders(5);
    assert!(orders.len() > 1_000, "{}", orders.len());
    for (number, order) in orders.into_iter().enumerate() {
        let id = format!("p{number}");
        let (mut model, mut sockets) = (Model::default(), [0; 2]);
        let mut told = Model::default();
        for (step, (who, what)) in order.iter().enumerate() {
            let before = sockets;
            act(&mut world, &mut sockets, *who, *what, &id);
            model.does(*who, *what);
            let heard = world.heard(admin);
            let count = |name: &str| heard.iter().filter(|(heard, _)| heard == name).count();
            told.connected += count("device:connected");
            told.disconnected += count("device:disconnected");
            for (other, socket) in before.into_iter().enumerate().filter(|(_, socket)| *socket != 0) {
                told.replaced[other] += world.all(socket, "player:replaced").len();
                world.hears_nothing(socket, "player:error");
            }
            let at = format!("{:?}", &order[..=step]);
            assert_eq!(
                (told.connected, told.disconnected, told.replaced),
                (model.connected, model.disconnected, model.replaced),
                "{at}"
            );
            for (other, socket) in sockets.into_iter().enumerate().filter(|(_, socket)| *socket != 0) {
                assert_eq!(world.is_open(socket), model.is(other) != Is::Absent, "{other} after {at}");
            }
            let state = world.asks(admin, "device:state", json!({"deviceId": id}));
            assert_eq!(state["online"] == true, model.is_online(), "{at}: {state}");
            world.heard(admin);
        }
        for (who, socket) in sockets.into_iter().enumerate() {
            if model.is(who) != Is::Absent {
                world.leaves(socket, CloseReason::TransportClose);
            }
        }
        world.heard(admin);
    }
}
