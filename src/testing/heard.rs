//! What a script looks at: what clients have heard, what came of a CONNECT, the application's figures.

use serde_json::Value;

use super::{Id, World};
use crate::app::Tally;
use crate::app::metric::{self, Gathered, gather};
use crate::apps::TABLE;

impl World {
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.clients[&id].open
    }

    /// Message and data of a CONNECT that was refused.
    pub(crate) fn refusal(&self, id: Id) -> (String, Value) {
        self.clients[&id].refused.clone().expect("it was refused")
    }

    /// Everything heard since the last look, in order.
    pub(crate) fn heard(&mut self, id: Id) -> Vec<(String, Value)> {
        std::mem::take(&mut self.clients.get_mut(&id).unwrap().inbox)
    }

    /// The payloads of all events of a name; other events stay in the inbox.
    pub(crate) fn all(&mut self, id: Id, name: &str) -> Vec<Value> {
        let (ours, others): (Vec<_>, Vec<_>) = self.heard(id).into_iter().partition(|(heard, _)| heard == name);
        self.clients.get_mut(&id).unwrap().inbox = others;
        ours.into_iter().map(|(_, payload)| payload).collect()
    }

    /// The one event of a name.
    pub(crate) fn hears(&mut self, id: Id, name: &str) -> Value {
        let mut all = self.all(id, name);
        assert_eq!(all.len(), 1, "{name} heard by {id}: {all:?}; beside {:?}", self.clients[&id].inbox);
        all.remove(0)
    }

    pub(crate) fn hears_nothing(&mut self, id: Id, name: &str) {
        let all = self.all(id, name);
        assert!(all.is_empty(), "{name} heard by {id}: {all:?}");
    }

    /// The sum of a family's samples, or of those with this label. Every sample is of a family that was declared.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let mut samples = Vec::new();
        self.home.metrics(&mut samples);
        let declared = TABLE.row(self.home.app().name()).map_or(&[][..], |row| row.metrics);
        let Gathered { families, strays } = gather(declared, samples);
        assert!(strays.is_empty(), "samples of no family: {strays:?}");
        let Some((_, series)) = families.into_iter().find(|(family, _)| family.name == name) else { return 0.0 };
        let fits = |labels: &[String]| label.is_empty() || labels.iter().any(|value| value == label);
        let number = |value| match value {
            metric::Value::Number(number) => number,
            metric::Value::Histogram(histogram) => histogram.count() as f64,
        };
        series.into_iter().filter(|(labels, _)| fits(labels)).map(|(_, value)| number(value)).sum()
    }

    /// What came of the events so far.
    pub(crate) fn tally(&self) -> Tally {
        self.home.app().tally()
    }
}
