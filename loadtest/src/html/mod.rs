//! A report as a page: one file of HTML with inline SVG. It asks for nothing from anywhere and runs no script, so it can be
//! kept, sent and opened anywhere.
//!
//! | file | what is there |
//! |---|---|
//! | `scale` | values to places on an axis |
//! | `plot` | one plot |
//! | `plots` | the plots of a run |

mod plot;
mod plots;
mod scale;

use std::fmt::Write;

use crate::lines::{Line, number};
use crate::report::Report;

const STYLE: &str = include_str!("style.css");
/// The page may load nothing: a browser holds it to that.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Figures that stand at the top, where there are any.
const TILES: [&str; 4] = ["rate_per_s", "server_cpu_us_per_unit", "server_rss_kib_per_client", "server_rss_mib"];

pub fn page(report: &Report) -> String {
    let title = escape(&report.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n<style>\n{STYLE}</style></head><body><main>\n"
    );
    write_header(&mut out, report);
    write_boxes(&mut out, report);
    write_tiles(&mut out, report);
    let _ = write!(out, "<section class=\"plots\">\n{}</section>\n", plots::of(report));
    write_tables(&mut out, report);
    out.push_str(FOOTER);
    out + "</main></body></html>\n"
}

const FOOTER: &str = "<footer>\
    <p>Latency counts from when something was meant to happen. Percentiles are of all threads' histograms merged, in each \
    interval and in the whole; none is an average of others. An interval's plots stand for half a second at first, for more \
    in a long run. What was on its way at the end of the measured time belongs to the latency, not to the rate.</p>\
    <p>CPU is counted in CPUs: 1 is one core at work all the time. Rest the pointer on a plot to read its figures.</p></footer>\n";

fn write_header(out: &mut String, report: &Report) {
    let about = &report.circumstances;
    let (class, verdict) = if report.failures.is_empty() { ("passed", "passed") } else { ("failed", "FAILED") };
    let _ = write!(
        out,
        "<header><h1>{}<span class=\"verdict {class}\">{verdict}</span></h1>\n\
         <p>{} · {}, {} {} for the clients · {} · loadtest {}</p>\n<p><code>{}</code></p></header>\n",
        escape(&report.title),
        escape(&about.date),
        escape(&about.cpu),
        about.cpus,
        if about.cpus == 1 { "core" } else { "cores" },
        escape(&about.kernel),
        about.version,
        escape(&about.command),
    );
}

fn write_boxes(out: &mut String, report: &Report) {
    let faults = report.faults.iter().map(|(label, count)| format!("{} × {label}", number(*count as f64)));
    let bad: Vec<String> = report.failures.iter().cloned().chain(faults).collect();
    for (class, what, sentences) in [("bad", "Failed", &bad), ("warn", "Warning", &report.warnings)] {
        if !sentences.is_empty() {
            let items: String =
                sentences.iter().map(|sentence| format!("<li><b>{what}:</b> {}</li>", escape(sentence))).collect();
            let _ = writeln!(out, "<div class=\"box {class}\"><ul>{items}</ul></div>");
        }
    }
}

fn write_tiles(out: &mut String, report: &Report) {
    let mut tiles: Vec<(String, f64, &str)> = Vec::new();
    let found = TILES.iter().filter_map(|key| report.lines().iter().find(|line| line.key() == *key));
    tiles.extend(found.map(|line| (line.label.clone(), line.value, line.unit)));
    let latency = report.latency_ms.iter().filter(|(name, _)| matches!(*name, "p50" | "p99" | "max"));
    tiles.extend(latency.map(|(name, ms)| (format!("latency, {name}"), *ms, "ms")));
    out.push_str("<section class=\"tiles\">");
    for (label, value, unit) in tiles {
        let label = escape(&label);
        let _ =
            write!(out, "<div class=\"tile\"><span>{label}</span><b>{}</b> <small>{unit}</small></div>", number(value));
    }
    out.push_str("</section>\n");
}

fn write_tables(out: &mut String, report: &Report) {
    let row = |label: &str, value: f64, unit: &str| {
        format!("<tr><th scope=\"row\">{}</th><td>{} {unit}</td></tr>", escape(label), number(value))
    };
    let latency: Vec<String> =
        report.latency_ms.iter().map(|(name, ms)| row(&format!("latency, {name}"), *ms, "ms")).collect();
    let late = report.lateness_p99_ms.map(|ms| row("of which sent late by us, p99", ms, "ms"));
    let lines = report.lines().iter().map(|Line { label, value, unit, .. }| row(label, *value, unit));
    let rows: Vec<String> = lines.chain(latency).chain(late).collect();
    let (left, right) = rows.split_at(rows.len().div_ceil(2));
    let _ = writeln!(
        out,
        "<h2>All figures</h2><section class=\"tables\"><table>{}</table><table>{}</table></section>",
        left.concat(),
        right.concat()
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
