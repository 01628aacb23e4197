//! The paths on which links may arrive, as one listener serves them.

use super::LinkPath;
use crate::app::table::Row;
use crate::base::percent;

/// All of a listener.
#[derive(Default)]
pub(crate) struct LinkPaths(matchit::Router<Owned>);

/// A path and whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owned {
    /// Place of the application among those that are served.
    pub place: usize,
    pub row: &'static Row,
    pub path: &'static LinkPath,
}

impl LinkPaths {
    /// What a listener with this root serves of these applications.
    ///
    /// # Panics
    /// Where two paths of a table are the same: one of them would never be found.
    pub(crate) fn of(rows: &[&'static Row], root: Option<&str>) -> LinkPaths {
        let mut paths = matchit::Router::new();
        for (path, owned) in served(rows, root) {
            let named = path.clone();
            paths.insert(path, owned).unwrap_or_else(|error| panic!("links arrive twice at {named}: {error}"));
        }
        LinkPaths(paths)
    }

    /// What this raw path is, with the decoded values of its parameters.
    pub(crate) fn find(&self, path: &str) -> Option<(Owned, Vec<String>)> {
        let matched = self.0.at(path).ok()?;
        let values = matched.params.iter().map(|(_, value)| percent::decode_segment(value).into_owned());
        Some((*matched.value, values.collect()))
    }
}

/// Every path, in the order of the rows.
pub(crate) fn served(rows: &[&'static Row], root: Option<&str>) -> Vec<(String, Owned)> {
    let mut all = Vec::new();
    for (place, &row) in rows.iter().enumerate() {
        for path in row.links {
            let owned = Owned { place, row, path };
            all.push((format!("/{}{}", row.name, path.path), owned));
            if path.bare.holds(row.name, root) {
                all.push((path.path.to_owned(), owned));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Home;
    use crate::app::route::Bare;
    use crate::app::settings::Chosen;

    static ROW: Row = Row {
        links: &[
            LinkPath { path: "/ws/{secret}", doc: "", bare: Bare::Everywhere, headers: &[], home: |_| Ok(Home::Local) },
            LinkPath { path: "/own", doc: "", bare: Bare::AtRoot, headers: &[], home: |_| Ok(Home::Local) },
        ],
        ..Row::new("iron", "", &["/iron"], || Chosen::<()>::untold(|()| unreachable!("nobody builds it")))
    };

    #[test]
    fn a_path_is_found_below_its_application_and_bare_where_its_row_says_so() {
        for (root, path, expected) in [
            (None, "/iron/ws/a%2Fb", Some("/ws/{secret} a/b")),
            (None, "/ws/s3", Some("/ws/{secret} s3")),
            (None, "/own", None),
            (Some("iron"), "/own", Some("/own")),
            (Some("other"), "/own", None),
            (None, "/iron/own", Some("/own")),
            (None, "/ws/", None),
            (None, "/ws/a/b", None),
            (None, "/iron", None),
        ] {
            let found = LinkPaths::of(&[&ROW], root).find(path);
            let found = found.map(|(owned, values)| format!("{} {}", owned.path.path, values.join("|")));
            assert_eq!(found.as_deref().map(str::trim_end), expected, "{root:?} {path}");
        }
    }
}
