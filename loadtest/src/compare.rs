//! Two servers in turns on the same work: A, B, A, B and so on. Each figure of both, and their ratio pair by pair.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value, json};

use crate::measurement::Measurement;
use crate::options::Options;
use crate::request;
use crate::scenario::kind::Kind;
use crate::scenario::{self, SCENARIOS};
use crate::spread::Spread;

/// What is compared, where both sides have it: key, label and unit.
const COMPARED: &[(&str, &str, &str)] = &[
    ("server_cpu_us_per_unit", "server CPU per unit", "µs"),
    ("server_cpu_us_per_client_s", "server CPU per client and second", "µs"),
    ("server_rss_kib_per_client", "server RSS per client", "KiB"),
    ("rate_per_s", "units per second", "/s"),
    ("p50", "latency, p50", "ms"),
    ("p99", "latency, p99", "ms"),
    ("sends_per_delivery", "sends per delivery", ""),
    ("own_cpu_us_per_unit", "our own CPU per unit", "µs"),
];

/// What is asked for: a scenario, twice.
#[derive(Clone)]
pub struct Compare {
    pub kind: &'static Kind,
    pub pairs: u32,
    /// Of A and of B.
    pub sides: [Options; 2],
    /// Where all figures are written to.
    pub json: Option<PathBuf>,
}

#[derive(Args)]
struct Asked {
    /// What clients do
    #[arg(value_parser = PossibleValuesParser::new(SCENARIOS.iter().map(|kind| kind.name)))]
    scenario: String,
    /// The first server
    #[arg(long, value_name = "URL")]
    a: String,
    /// The second server
    #[arg(long, value_name = "URL")]
    b: String,
    /// Options of A alone, as one word: '--namespace /lab --metrics http://127.0.0.1:9464/metrics'
    #[arg(long, value_name = "OPTIONS", default_value = "", allow_hyphen_values = true, hide_default_value = true)]
    a_with: String,
    /// Options of B alone
    #[arg(long, value_name = "OPTIONS", default_value = "", allow_hyphen_values = true, hide_default_value = true)]
    b_with: String,
    /// How often each side runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
}

/// The subcommand: its own options, and those of all scenarios, each with the scenarios it does something in.
pub fn command() -> Command {
    let about = "Two servers in turns on the same work, and the ratios of their figures";
    // Behind our own options.
    let all = Options::augment_args(Command::new("options").next_display_order(OWN_MAX)).mut_args(|option| {
        let name = request::long(&option).to_owned();
        let scenarios = request::scenarios_of(&name);
        if scenarios.len() == SCENARIOS.len() {
            return option.hide(NOT_OF_A_SIDE.contains(&&*name) && name != "json");
        }
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        option.help(format!("{help} ({})", scenarios.join(", ")))
    });
    Asked::augment_args(Command::new("compare")).about(about).args(all.get_arguments())
}

impl Compare {
    /// # Errors
    /// Those of the subcommand's arguments.
    pub fn from(matches: &ArgMatches) -> Result<Compare, clap::Error> {
        let asked = Asked::from_arg_matches(matches)?;
        let kind = scenario::find(&asked.scenario).expect("clap knows these names only");
        let json = matches.get_one::<PathBuf>("json").cloned();
        let common = words(matches, &["json"])?;
        let side = |url: &str, with: &str| {
            let own = Options::augment_args(Command::new("options").no_binary_name(true).disable_help_flag(true));
            let own = words(&own.try_get_matches_from(with.split_whitespace())?, &[])?;
            let all = common.iter().chain(&own).map(String::as_str).chain(["--url", url]);
            request::parse(kind, &all.collect::<Vec<_>>())
        };
        let sides = [side(&asked.a, &asked.a_with)?, side(&asked.b, &asked.b_with)?];
        Ok(Compare { kind, pairs: asked.pairs, sides, json })
    }

    /// Runs all pairs; `told` hears of each before it begins.
    ///
    /// # Errors
    /// A sentence that says why a run could not begin.
    pub fn run(&self, told: impl Fn(&str)) -> Result<Comparison, String> {
        let mut runs = [Vec::new(), Vec::new()];
        for pair in 1..=self.pairs {
            for (name, (options, runs)) in ["A", "B"].into_iter().zip(self.sides.iter().zip(&mut runs)) {
                told(&format!("pair {pair} of {}: {name}, {}", self.pairs, options.url));
                runs.push(Measurement::take(self.kind, options)?);
            }
        }
        Ok(Comparison { asked: self.clone(), runs })
    }
}

/// The scenario's options that were said, as words.
///
/// # Errors
/// Where one was said that a side does not have, unless it is among those that `stay`.
fn words(matches: &ArgMatches, stay: &[&str]) -> Result<Vec<String>, clap::Error> {
    let said = request::said(matches);
    let said: Vec<_> = said.iter().filter(|option| !stay.contains(&request::long(option))).collect();
    if let Some(option) = said.iter().find(|option| NOT_OF_A_SIDE.contains(&request::long(option))) {
        let sentence = format!("--{} is no option of a side", request::long(option));
        return Err(command().error(ErrorKind::ArgumentConflict, sentence));
    }
    let texts = |raw: &OsStr| raw.to_string_lossy().into_owned();
    let words = said.into_iter().flat_map(|option| {
        let values = matches.get_raw(option.get_id().as_str()).into_iter().flatten().map(texts);
        values.map(|value| format!("--{}={value}", request::long(option))).collect::<Vec<_>>()
    });
    Ok(words.collect())
}

/// Above the number of our own options.
const OWN_MAX: usize = 100;
/// Options of a scenario that a side does not have: its server is `--a` or `--b`, and what is found is of both.
const NOT_OF_A_SIDE: [&str; 3] = ["url", "json", "report"];

/// What was found.
pub struct Comparison {
    asked: Compare,
    /// Of A and of B, in the order of the pairs.
    runs: [Vec<Measurement>; 2],
}

impl Comparison {
    /// Each failure of a run, with the run's name.
    pub fn failures(&self) -> Vec<String> {
        self.sentences(Measurement::failures)
    }

    pub fn to_text(&self) -> String {
        let Compare { kind, pairs, sides: [a, b], .. } = &self.asked;
        let mut text =
            format!("{} · {} clients · {pairs} pairs\n  A: {}\n  B: {}\n", kind.name, a.clients, a.url, b.url);
        let of = "median (least to most)";
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<38} {:>26} {:>26} {:>26}", "", format!("A, {of}"), format!("B, {of}"), "A / B");
        for (_, label, unit, [a, b]) in self.compared() {
            let label = if unit.is_empty() { label.to_owned() } else { format!("{label}, {unit}") };
            let side = |values: &[f64]| Spread::of(values).map_or("-".to_owned(), Spread::to_text);
            let ratio = Spread::of_ratios(&a, &b).map_or("-".to_owned(), Spread::to_text);
            let _ = writeln!(text, "  {label:<38} {:>26} {:>26} {ratio:>26}", side(&a), side(&b));
        }
        let (failures, warnings) = (self.sentences(Measurement::failures), self.sentences(Measurement::warnings));
        warnings.iter().for_each(|warning| text.push_str(&format!("  warning: {warning}\n")));
        failures.iter().for_each(|failure| text.push_str(&format!("  FAILED:  {failure}\n")));
        text
    }

    /// Figures and ratios by key, and every run as `--json` of the scenario has it.
    pub fn to_json(&self) -> String {
        let figures = self.compared().into_iter().map(|(key, _, _, [a, b])| {
            (
                key.to_owned(),
                json!({"a": spread(Spread::of(&a)), "b": spread(Spread::of(&b)),
                "a_to_b": spread(Spread::of_ratios(&a, &b))}),
            )
        });
        let runs = |side: usize| self.runs[side].iter().map(Measurement::to_json).collect::<Vec<_>>();
        let whole = json!({
            "scenario": self.asked.kind.name, "pairs": self.asked.pairs,
            "a": self.asked.sides[0].url, "b": self.asked.sides[1].url,
            "figures": figures.collect::<Map<_, _>>(),
            "failures": self.failures(),
            "runs": {"a": runs(0), "b": runs(1)},
        });
        format!("{whole:#}\n")
    }

    /// What at least one side has, with the values of each.
    fn compared(&self) -> Vec<(&'static str, &'static str, &'static str, [Vec<f64>; 2])> {
        let values = |key: &str| [0, 1].map(|side| self.runs[side].iter().filter_map(|run| run.figure(key)).collect());
        let all = COMPARED.iter().map(|(key, label, unit)| (*key, *label, *unit, values(key)));
        all.filter(|(_, _, _, sides)| sides.iter().any(|values: &Vec<f64>| !values.is_empty())).collect()
    }

    /// What runs say, each sentence once for a side, with how often.
    fn sentences(&self, of: fn(&Measurement) -> Vec<&str>) -> Vec<String> {
        let side = |(name, runs): (&str, &Vec<Measurement>)| {
            let mut counts: Vec<(&str, u32)> = Vec::new();
            for sentence in runs.iter().flat_map(of) {
                match counts.iter_mut().find(|(known, _)| *known == sentence) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((sentence, 1)),
                }
            }
            counts.iter().map(|(sentence, count)| format!("{name}: {sentence} ({count} ×)")).collect::<Vec<_>>()
        };
        ["A", "B"].into_iter().zip(&self.runs).flat_map(side).collect()
    }
}

fn spread(spread: Option<Spread>) -> Value {
    spread.map_or(Value::Null, |spread| json!({"median": spread.median, "min": spread.min, "max": spread.max}))
}
