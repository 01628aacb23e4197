//! The routes of applications as one listener serves them: found by method and path, and listed for people.

use std::collections::BTreeMap;

use crate::app::link::paths::{self, LinkPaths};
use crate::app::route::{Body, Door, Http, Method, Route, Who};
use crate::app::table::Row;
use crate::base::percent;

/// A route and whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owned {
    pub row: &'static Row,
    pub route: &'static Route,
}

/// What a listener serves for applications.
pub(crate) struct Routes {
    paths: matchit::Router<Vec<Owned>>,
    /// Beginnings of paths at which all that is not found is an application's to refuse.
    territories: Vec<(String, &'static Http)>,
    /// Where WebSockets alone are opened.
    links: LinkPaths,
}

/// What a request is for.
pub(crate) enum Found {
    /// A route, with the decoded values of its path's parameters.
    Route(Owned, Vec<String>),
    /// A path that takes these methods only.
    WrongMethod { http: &'static Http, allow: String },
    /// A path at which links of this application arrive, and which is nothing else.
    Link(&'static Http),
    /// Nothing that the application whose place this is has.
    Nothing(&'static Http),
    /// No place of an application.
    Elsewhere,
}

impl Routes {
    /// What a listener of this kind and root serves of these applications.
    ///
    /// # Panics
    /// Where two routes of a table take the same path: one of them would never be found.
    pub(crate) fn of(rows: &[&'static Row], door: Door, root: Option<&str>) -> Routes {
        let mut by_path: BTreeMap<String, Vec<Owned>> = BTreeMap::new();
        for (path, owned) in served(rows, door, root) {
            by_path.entry(path).or_default().push(owned);
        }
        let mut territories = Vec::new();
        for row in rows.iter().filter(|row| row.http.routes.iter().any(|route| route.door == door)) {
            territories.push((format!("/{}/", row.name), &row.http));
            let takes_api = |route: &Route| route.path.starts_with(API) && route.is_bare(row.name, root);
            let is_root = root == Some(row.name) && door == Door::Public;
            if is_root && row.http.routes.iter().any(takes_api) {
                territories.push((API.to_owned(), &row.http));
            }
        }
        let mut paths = matchit::Router::new();
        for (path, owned) in by_path {
            let named = path.clone();
            paths.insert(path, owned).unwrap_or_else(|error| panic!("two routes take {named}: {error}"));
        }
        let links = if door == Door::Public { LinkPaths::of(rows, root) } else { LinkPaths::default() };
        Routes { paths, territories, links }
    }

    /// What a request for this raw path is for.
    pub(crate) fn find(&self, method: &http::Method, path: &str) -> Found {
        let Ok(matched) = self.paths.at(path) else {
            if let Some((link, _)) = self.links.find(path) {
                return Found::Link(&link.row.http);
            }
            let own = self.territories.iter().find(|(begin, _)| path.starts_with(&**begin));
            return own.map_or(Found::Elsewhere, |(_, http)| Found::Nothing(http));
        };
        let asked = if method == http::Method::HEAD { "GET" } else { method.as_str() };
        if let Some(owned) = matched.value.iter().find(|owned| owned.route.method.name() == asked) {
            let values = matched.params.iter().map(|(_, value)| percent::decode_segment(value).into_owned());
            return Found::Route(*owned, values.collect());
        }
        let mut allowed: Vec<Method> = matched.value.iter().map(|owned| owned.route.method).collect();
        allowed.sort_unstable();
        let names = allowed.iter().map(|method| if *method == Method::Get { "GET, HEAD" } else { method.name() });
        let allow = names.collect::<Vec<_>>().join(", ");
        Found::WrongMethod { http: &matched.value[0].row.http, allow }
    }
}

/// Every path with what it serves, in the order of the rows.
pub(crate) fn served(rows: &[&'static Row], door: Door, root: Option<&str>) -> Vec<(String, Owned)> {
    let mut all = Vec::new();
    for &row in rows {
        for route in row.http.routes.iter().filter(|route| route.door == door) {
            all.push((format!("/{}{}", row.name, route.path), Owned { row, route }));
            if route.is_bare(row.name, root) {
                all.push((route.path.to_owned(), Owned { row, route }));
            }
        }
    }
    all
}

/// A path of the daemon itself.
pub(crate) struct Own {
    pub door: Door,
    pub method: &'static str,
    pub path: &'static str,
    pub doc: &'static str,
}

/// All routes of all listeners as a table for people, a line each: those of the daemon, then those of applications.
pub(crate) fn listed(own: &[Own], rows: &[&'static Row], roots: &[Option<&'static str>]) -> String {
    let mut lines = Vec::new();
    for Own { door, method, path, doc } in own {
        lines.push([method, path, listener(*door), "", "", doc].map(str::to_owned));
    }
    for row in rows {
        for page in row.http.pages {
            let path = format!("/{}{}", row.name, page.path);
            lines.push(["GET", &path, listener(Door::Public), "", "", "A file of its page."].map(str::to_owned));
        }
    }
    for door in [Door::Public, Door::Admin] {
        let mut seen = BTreeMap::new();
        for root in roots {
            for (path, owned) in served(rows, door, *root) {
                if seen.insert((path.clone(), owned.route.method), ()).is_none() {
                    let Route { method, who, body, doc, .. } = owned.route;
                    lines
                        .push([method.name(), &path, listener(door), asker(*who), kind(*body), doc].map(str::to_owned));
                }
            }
        }
    }
    let arriving = roots.iter().flat_map(|root| paths::served(rows, *root));
    for (path, link) in arriving.collect::<BTreeMap<_, _>>() {
        lines.push(["GET", &path, listener(Door::Public), "", "websocket", link.path.doc].map(str::to_owned));
    }
    aligned(&lines)
}

fn listener(door: Door) -> &'static str {
    match door {
        Door::Public => "public",
        Door::Admin => "admin",
        Door::Shell => "none",
    }
}

fn asker(who: Who) -> &'static str {
    match who {
        Who::Anybody => "",
        Who::Token { in_query: false } => "token",
        Who::Token { in_query: true } => "token, ?token=",
        Who::Session { .. } => "session",
    }
}

fn kind(body: Body) -> &'static str {
    match body {
        Body::None => "",
        Body::Json { .. } => "json",
        Body::Raw { .. } => "raw",
        Body::Upload { .. } => "upload",
    }
}

fn aligned(lines: &[[String; 6]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |cells: &[String; 6]| {
        let cells = cells.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let text: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

const API: &str = "/api/";

#[cfg(test)]
mod tests {
    use super::super::testing::ROWS;
    use super::*;

    fn found(door: Door, root: Option<&str>, method: &str, path: &str) -> String {
        match Routes::of(ROWS, door, root).find(&method.parse().unwrap(), path) {
            Found::Route(owned, values) => format!("{} {}", owned.route.name, values.join("|")).trim_end().to_owned(),
            Found::WrongMethod { allow, .. } => format!("405 {allow}"),
            Found::Link(_) => "426".to_owned(),
            Found::Nothing(_) => "404".to_owned(),
            Found::Elsewhere => "elsewhere".to_owned(),
        }
    }

    #[test]
    fn a_route_is_found_by_method_and_path() {
        for (method, path, expected) in [
            ("GET", "/desk/notes/a%2Fb+c", "note a/b+c"),
            ("HEAD", "/desk/notes/x", "note x"),
            ("PUT", "/desk/notes/x", "405 GET, HEAD, DELETE"),
            ("GET", "/desk/notes/", "404"),
            ("GET", "/desk/notes/x/y", "404"),
            ("GET", "/desk/files/a/b.txt", "405 POST"),
            ("GET", "/desk", "elsewhere"),
            ("GET", "/deskx/notes/x", "elsewhere"),
            ("GET", "/health", "elsewhere"),
            ("GET", "/desk/ledger", "404"),
        ] {
            assert_eq!(found(Door::Public, None, method, path), expected, "{method} {path}");
        }
        assert_eq!(found(Door::Admin, None, "GET", "/desk/ledger"), "ledger");
        assert_eq!(found(Door::Admin, None, "GET", "/desk/notes/x"), "404");
    }

    #[test]
    fn bare_paths_are_served_where_a_contract_fixes_them() {
        for (root, path, expected) in [
            (None, "/api/echo", "elsewhere"),
            (Some("desk"), "/api/echo", "echo"),
            (Some("other"), "/api/echo", "elsewhere"),
            (Some("desk"), "/api/nothing", "404"),
            (None, "/desk/api/echo", "echo"),
            (None, "/hook/x", "hook x"),
            (Some("desk"), "/notes/x", "elsewhere"),
        ] {
            assert_eq!(found(Door::Public, root, "POST", path), expected, "{root:?} {path}");
        }
    }

    #[test]
    fn the_list_has_every_path_once() {
        let own = [Own { door: Door::Public, method: "GET", path: "/health", doc: "Health." }];
        let list = listed(&own, ROWS, &[None, Some("desk")]);
        let line = |path: &str| list.lines().filter(|line| line.split_whitespace().nth(1) == Some(path)).count();
        for path in ["/health", "/desk/notes/{note}", "/desk/api/echo", "/api/echo", "/hook/{of}", "/desk/ledger"] {
            let methods = if path.ends_with("{note}") { 2 } else { 1 };
            assert_eq!(line(path), methods, "{path} in\n{list}");
        }
    }
}
