//! Somebody who asks for a link, and the WebSocket that comes of it.

use super::{Peer, World};
use crate::app::Home;
use crate::app::link::{Arrival, LinkPath};
use crate::app::route::Bare;
use crate::base::ids::{AppId, Key, ReqId};
use crate::shard::io::{Coming, Input, Verdict};

/// One who asks.
pub(crate) struct Asker {
    world: World,
    shard: u16,
    pub req: ReqId,
}

static PATH: LinkPath =
    LinkPath { path: "/link", doc: "", bare: Bare::No, headers: &[], home: |_| Ok(Home::Tenant("t".into())) };

impl World {
    /// Somebody asks for a link of this application, on the next shard in turn, and holds a place of its address. It is at home
    /// where the tenant `t` is.
    pub(crate) fn asks(&self, app: u16, query: &str) -> Asker {
        let arrival = Arrival {
            path: &PATH,
            values: Vec::new(),
            query: query.to_owned(),
            headers: Vec::new(),
            subprotocols: vec!["v1".to_owned(), "v2".to_owned()],
            ip: [192, 0, 2, 1].into(),
        };
        let coming = Coming { app: AppId(app), home: Home::Tenant("t".into()), holds_place: true, arrival };
        let (shard, req) = {
            let mut state = self.0.borrow_mut();
            (state.next_shard(), state.add_request())
        };
        self.input(shard, Input::Arrived { req, coming: Box::new(coming) });
        Asker { world: self.clone(), shard, req }
    }

    /// From now on no 101 is out before [`Asker::sent`].
    pub(crate) fn holds_101s(&self) {
        self.0.borrow_mut().holds_101s = true;
    }
}

impl Asker {
    /// What has become of it, if anything.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.world.0.borrow().verdicts.get(&self.req).map(|(verdict, _)| verdict.clone())
    }

    /// The status of its answer; `None`: none yet.
    pub(crate) fn status(&self) -> Option<u16> {
        self.verdict().map(|verdict| match verdict {
            Verdict::Admitted { .. } => 101,
            Verdict::TurnedAway { status, .. } => status,
        })
    }

    /// Its WebSocket, once it has been let in.
    #[track_caller]
    pub(crate) fn opens(self) -> Peer {
        let pipe = self.world.0.borrow().verdicts.get(&self.req).and_then(|(_, pipe)| *pipe);
        Peer::new(self.world.clone(), pipe.expect("it has been let in"))
    }

    /// It leaves while it waits.
    pub(crate) fn leaves(&self) {
        self.world.0.borrow_mut().give_up(self.req);
        self.world.input(self.shard, Input::ArrivalGone { req: self.req });
    }

    /// Its 101 is out now, or cannot be sent.
    pub(crate) fn sent(self, out: bool) -> Option<Peer> {
        let link: Key = match self.verdict() {
            Some(Verdict::Admitted { link, .. }) => link,
            other => panic!("it has not been let in: {other:?}"),
        };
        let pipe = out.then(|| self.world.0.borrow_mut().add_pipe(self.shard));
        let conn = pipe.map(|pipe| self.world.0.borrow().pipes[pipe].conn);
        self.world.input(self.shard, Input::LinkOpen { link, conn });
        pipe.map(|pipe| Peer::new(self.world.clone(), pipe))
    }
}
