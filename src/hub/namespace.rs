//! Which namespaces there are, and which application each belongs to. An application's namespaces stand side by side, so that
//! its own number for one (an [`NspIndex`]) and the daemon's (an [`NspId`]) differ by where it begins.

use crate::base::ids::{AppId, NspId, NspIndex};

/// All namespaces of a process, fixed at start.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// By `NspId`.
    names: Vec<String>,
    owners: Vec<AppId>,
    /// By `AppId`: its first namespace.
    firsts: Vec<NspId>,
}

impl Namespaces {
    /// The namespaces of each application, in the order of `AppId`s; each application has one at least.
    pub fn new(applications: impl IntoIterator<Item = Vec<String>>) -> Namespaces {
        let mut all = Namespaces::default();
        for names in applications {
            let app = AppId(all.firsts.len() as u16);
            all.firsts.push(NspId(all.names.len() as u16));
            all.owners.extend(names.iter().map(|_| app));
            all.names.extend(names);
        }
        all
    }

    /// Canonical names, by `NspId`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many applications they belong to.
    pub fn applications(&self) -> usize {
        self.firsts.len()
    }

    pub fn name(&self, nsp: NspId) -> &str {
        &self.names[usize::from(nsp.0)]
    }

    pub fn owner(&self, nsp: NspId) -> AppId {
        self.owners[usize::from(nsp.0)]
    }

    /// Its place in its application's own list.
    pub fn index(&self, nsp: NspId) -> NspIndex {
        NspIndex((nsp.0 - self.firsts[usize::from(self.owner(nsp).0)].0) as u8)
    }

    /// The namespace at a place of an application's own list.
    ///
    /// # Panics
    /// Where the application has none there: applications name theirs by constants.
    pub fn id(&self, app: AppId, index: NspIndex) -> NspId {
        let nsp = NspId(self.firsts[usize::from(app.0)].0 + u16::from(index.0));
        assert_eq!(self.owners.get(usize::from(nsp.0)), Some(&app), "an application names a namespace of its own");
        nsp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_knows_its_namespaces_by_their_places() {
        let all = Namespaces::new([vec!["/lab".into()], vec!["/app".into(), "/agent".into()], vec!["/iot".into()]]);
        assert_eq!(all.applications(), 3);
        for (nsp, name, app, index) in [(0, "/lab", 0, 0), (1, "/app", 1, 0), (2, "/agent", 1, 1), (3, "/iot", 2, 0)] {
            let nsp = NspId(nsp);
            assert_eq!((all.name(nsp), all.owner(nsp), all.index(nsp)), (name, AppId(app), NspIndex(index)));
            assert_eq!(all.id(AppId(app), NspIndex(index)), nsp);
        }
    }

    #[test]
    #[should_panic(expected = "a namespace of its own")]
    fn nobody_names_the_namespace_of_another() {
        Namespaces::new([vec!["/lab".into()], vec!["/iot".into()]]).id(AppId(0), NspIndex(1));
    }
}
