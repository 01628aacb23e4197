//! The table as Markdown, and its place in a page: between two comments.

use std::fmt::Write;

use super::rows::{How, Limit, Row};
use super::servers::{SERVERS, Server};
use super::{EXAMPLES, Found, Values};
use crate::spread::{Spread, digits};

pub const BEGIN: &str = "<!-- made by `make compare`: begin -->";
pub const END: &str = "<!-- made by `make compare`: end -->";

/// Puts `table` where the page has its place for it; `None` if it has none.
pub fn put(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// All of it: both tables, what was noticed, and the commands.
pub fn write(when_and_where: &str, found: &[(&Row, Found)], notes: &[String], cpu: u32) -> String {
    let mut text = format!("{when_and_where}\n\n");
    text.push_str("| work | goal, at most | siod | against | ratio, pair by pair | best peer | kept |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    found.iter().for_each(|(row, found)| text.push_str(&line(row, found)));
    text.push_str(&peers(found));
    if !notes.is_empty() {
        text.push_str("\nNoticed:\n\n");
        notes.iter().for_each(|note| text.push_str(&format!("- {note}\n")));
    }
    text.push_str(&commands(found, cpu));
    text
}

fn line(row: &Row, found: &Found) -> String {
    let cells = [
        row.work.to_owned(),
        row.goal.to_owned(),
        found.subject.as_ref().map_or("-".to_owned(), |values| subject(found, values)),
        found
            .reference
            .as_ref()
            .map_or(String::new(), |values| format!("{}: {}", values.name, amount(values.spread(), found.unit))),
        found.ratio().map_or(String::new(), |ratio| ratio.to_text()),
        best_peer(row, found),
        kept(row, found).to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn subject(found: &Found, values: &Values) -> String {
    let beside =
        found.beside.iter().filter_map(|(key, unit)| Some(format!("; {} {unit}", digits(values.beside(key)?))));
    format!("**{}**{}", amount(values.spread(), found.unit), beside.collect::<String>())
}

fn amount(spread: Option<Spread>, unit: &str) -> String {
    spread.map_or("-".to_owned(), |spread| {
        let [median, min, max] = [spread.median, spread.min, spread.max].map(digits);
        if spread.count == 1 { format!("{median} {unit}") } else { format!("{median} {unit} ({min} to {max})") }
    })
}

fn best_peer(row: &Row, found: &Found) -> String {
    let measured = found.peers.iter().filter_map(|peer| Some((peer, peer.spread()?)));
    let best = measured.min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
    let best = best.map(|(peer, _)| format!("{} {}", peer.name, of_peer(found, peer)));
    best.unwrap_or_else(|| row.elsewhere.to_owned())
}

/// The middle of its figures, and their ratio to the reference.
fn of_peer(found: &Found, peer: &Values) -> String {
    let Some(spread) = peer.spread() else { return "-".to_owned() };
    let ratio = found.reference.as_ref().and_then(|floor| Spread::of_ratios(&peer.figures, &floor.figures));
    let ratio = ratio.map_or(String::new(), |ratio| format!(", {} ×", digits(ratio.median)));
    format!("{} {}{ratio}", digits(spread.median), found.unit)
}

/// Whether every limit holds; nothing where a figure is missing.
fn kept(row: &Row, found: &Found) -> &'static str {
    let Some(subject) = &found.subject else { return "" };
    let holds = |limit: &Limit| match limit {
        Limit::Figure(most) => Some(subject.spread()?.median <= *most),
        Limit::Ratio(most) => Some(found.ratio()?.median <= *most),
        Limit::Beside(key, most) => Some(subject.beside(key)? <= *most),
    };
    match row.limits.iter().map(holds).collect::<Option<Vec<_>>>() {
        None => "",
        Some(all) if all.iter().all(|holds| *holds) => "yes",
        Some(_) => "no",
    }
}

/// All peers, where there are any.
fn peers(found: &[(&Row, Found)]) -> String {
    let rows: Vec<_> = found.iter().filter(|(_, found)| !found.peers.is_empty()).collect();
    let Some((_, first)) = rows.first() else { return String::new() };
    let names: Vec<_> = first.peers.iter().map(|peer| peer.name).collect();
    let mut text = format!("\n| work | siod | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (row, found) in rows {
        let siod = found.subject.as_ref().map_or("-".to_owned(), |values| of_peer(found, values));
        let peers: Vec<_> = found.peers.iter().map(|peer| of_peer(found, peer)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {siod} | {} |", row.work, peers.join(" | "));
    }
    text
}

/// How to repeat a row by hand: the servers, and then what is run against them.
fn commands(found: &[(&Row, Found)], cpu: u32) -> String {
    let mut text = "\nThe servers, each on ports of its own, and what was run against them:\n\n```sh\n".to_owned();
    for server in SERVERS {
        let _ = writeln!(text, "{}  # {}", as_typed(server, cpu), server.name);
    }
    for (row, _) in found {
        match &row.how {
            How::Runs(runs) => {
                let own: Vec<_> = runs.rivals.iter().filter(|rival| !rival.with.is_empty()).collect();
                let own = own
                    .iter()
                    .map(|rival| format!(" ({}: {})", rival.server, rival.with.replace(char::is_whitespace, " ")));
                let _ = writeln!(text, "loadtest {}  # {}{}", runs.command, row.id, own.collect::<String>());
            }
            How::Example { example, .. } => {
                let _ = writeln!(text, "taskset -c {cpu} {EXAMPLES}/{example}  # {}", row.id);
            }
            How::Start | How::Size => {}
        }
    }
    text.push_str("```\n");
    text
}

fn as_typed(server: &Server, cpu: u32) -> String {
    let mut environment: Vec<(&str, &str)> = Vec::new();
    for (name, value) in server.environment.iter().copied().flatten() {
        environment.retain(|(known, _)| known != name);
        environment.push((name, value));
    }
    let environment = environment.iter().map(|(name, value)| format!("{name}={value} "));
    format!("{}taskset -c {cpu} {}", environment.collect::<String>(), server.command.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::rows::ROWS;

    fn values(name: &'static str, figures: &[f64]) -> Values {
        Values { name, figures: figures.to_vec(), beside: vec![("sends_per_delivery", vec![1.01])] }
    }

    #[test]
    fn a_line_says_what_was_found_and_whether_it_is_kept() {
        let row = ROWS.iter().find(|row| row.id == "fanout-1").expect("it is the first promise");
        let mut found = Found {
            unit: "µs",
            beside: &[("sends_per_delivery", "sends")],
            subject: Some(values("siod", &[4.0, 6.0, 5.0])),
            reference: Some(values("floor", &[8.0, 8.0, 8.0])),
            peers: vec![values("slow", &[16.0]), values("fast", &[10.0, 12.0])],
        };
        let cells = "| **5 µs (4 to 6)**; 1.01 sends | floor: 8 µs (8 to 8) | 0.62 (0.50 to 0.75) | fast 11 µs, 1.38 × | yes |\n";
        let text = line(row, &found);
        assert!(text.ends_with(cells), "{text}");
        assert!(peers(&[(row, found.clone())]).ends_with("| 5 µs, 0.62 × | 16 µs, 2 × | 11 µs, 1.38 × |\n"));
        found.subject = Some(values("siod", &[9.0]));
        assert_eq!(kept(row, &found), "no");
        found.reference = None;
        assert_eq!(kept(row, &found), "");
    }

    #[test]
    fn the_table_goes_between_its_marks() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nz\n");
        assert_eq!(put(&page, "new\n"), Some(format!("a\n{BEGIN}\nnew\n{END}\nz\n")));
        assert_eq!(put("a page", "new"), None);
        let page = include_str!("../../../docs/PERFORMANCE.md");
        assert!(put(page, "").is_some(), "docs/PERFORMANCE.md has a place for the table");
    }
}
