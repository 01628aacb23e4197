//! What a script looks at: what clients have heard, what came of a CONNECT, the application's figures.

use serde_json::Value;

use super::{Id, World};
use crate::app::{Metric, Tally};

impl World {
    pub fn is_open(&self, id: Id) -> bool {
        self.clients[&id].open
    }

    /// Message and data of a CONNECT that was refused.
    pub fn refusal(&self, id: Id) -> (String, Value) {
        self.clients[&id].refused.clone().expect("it was refused")
    }

    /// Everything heard since the last look, in order.
    pub fn heard(&mut self, id: Id) -> Vec<(String, Value)> {
        std::mem::take(&mut self.clients.get_mut(&id).unwrap().inbox)
    }

    /// The payloads of all events of a name; other events stay in the inbox.
    pub fn all(&mut self, id: Id, name: &str) -> Vec<Value> {
        let (ours, others): (Vec<_>, Vec<_>) = self.heard(id).into_iter().partition(|(heard, _)| heard == name);
        self.clients.get_mut(&id).unwrap().inbox = others;
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

    /// The sum of a metric's samples that have this label's value; of all with `""`.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let mut rows: Vec<Metric> = Vec::new();
        self.home.metrics(&mut rows);
        let fits = |row: &&Metric| row.name == name && (label.is_empty() || row.labels.iter().any(|(_, v)| v == label));
        rows.iter().filter(fits).map(|row| row.value).sum()
    }

    /// What came of the events so far.
    pub fn tally(&self) -> Tally {
        self.home.app().tally()
    }
}
