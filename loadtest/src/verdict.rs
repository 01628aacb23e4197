//! Whether a run went well, and what spoils its figures: failures end the process with 1, warnings are shown with them.

use crate::lines::{Lines, number};
use crate::outcome::Outcome;

/// A thread that has less than this left over may have been what was measured.
const BUSY_SHARE_MAX: f64 = 0.9;
/// CPUs that others may use before they are mentioned.
const OTHERS_CPUS_MAX: f64 = 0.2;
/// A shorter measurement is mentioned.
const SECONDS_MIN: f64 = 0.5;
/// A hundredth of the requests may go out so late before that is mentioned.
const LATE_MS_MAX: f64 = 1.0;
/// Of the rate that was asked, so much must have gone out.
const RATE_SHARE_MIN: f64 = 0.98;

pub(crate) fn failures(outcome: &Outcome, lines: &mut Lines) -> Vec<String> {
    let mut failures = std::mem::take(&mut lines.failures);
    let options = &outcome.options;
    let faults = outcome.figures.faults_total();
    if faults > 0 {
        failures.push(format!("{faults} faults"));
    }
    if outcome.joined.joined < u64::from(options.clients) {
        failures.push(format!("{} of {} clients joined", outcome.joined.joined, options.clients));
    }
    let p99_ms = outcome.figures.latency.value_at_quantile(0.99) as f64 / 1e6;
    match options.max_p99_ms {
        Some(_) if outcome.figures.latency.is_empty() => failures.push("nothing was done: there is no p99".to_owned()),
        Some(limit) if p99_ms > limit => failures.push(format!("p99 is {} ms, above {limit}", number(p99_ms))),
        _ => {}
    }
    let rate = lines.find("rate_per_s").filter(|rate| rate.is_finite()).unwrap_or(0.0);
    if let Some(limit) = options.min_rate.filter(|limit| rate < *limit) {
        failures.push(format!("the rate is {}, below {limit}", number(rate)));
    }
    failures
}

/// How late a hundredth of what an open loop sent went out at least; `None` in a closed loop.
pub(crate) fn lateness_p99_ms(outcome: &Outcome) -> Option<f64> {
    let lateness = &outcome.figures.lateness;
    (!lateness.is_empty() && outcome.options.rate > 0.0).then(|| lateness.value_at_quantile(0.99) as f64 / 1e6)
}

pub(crate) fn warnings(outcome: &Outcome, lines: &Lines) -> Vec<String> {
    let mut warnings = ours(outcome, lines);
    warnings.extend(late(outcome));
    if lines.find("others_cpus").is_some_and(|others| others > OTHERS_CPUS_MAX) {
        warnings.push("other processes used the CPU too: the figures are noisy".to_owned());
    }
    if outcome.options.pids.is_empty() {
        warnings.push("the server's process was not found (--pid): no figures of its CPU and memory".to_owned());
    }
    if outcome.options.metrics.is_some() && outcome.to.metrics.is_none() {
        warnings.push("--metrics was not answered".to_owned());
    }
    if outcome.seconds() < SECONDS_MIN {
        warnings.push("measured for a very short time: take more clients or seconds".to_owned());
    }
    if lines.find("listen_drops").is_some_and(|drops| drops > 0.0) {
        warnings.push(
            "connections were dropped before the server took them: their clients waited a second or more".to_owned(),
        );
    }
    warnings
}

/// Where the limit may have been ours.
fn ours(outcome: &Outcome, lines: &Lines) -> Vec<String> {
    let mut warnings = Vec::new();
    let wall_ns = outcome.seconds() * 1e9;
    let spent = outcome.to.threads_cpu_ns.iter().enumerate().map(|(thread, cpu_ns)| {
        // Threads begin after the sample before them.
        cpu_ns.saturating_sub(outcome.from.threads_cpu_ns.get(thread).copied().unwrap_or(0))
    });
    let share = spent.max().unwrap_or(0) as f64 / wall_ns;
    let cpus = outcome.circumstances.cpus;
    let all = lines.find("own_cpus").unwrap_or(0.0) / cpus as f64;
    if share > BUSY_SHARE_MAX {
        let share = share * 100.0;
        warnings.push(format!(
            "a thread of ours was busy for {share:.0} % of the time: this may be our limit, not the server's"
        ));
    } else if all > BUSY_SHARE_MAX {
        warnings.push(format!("we used all CPUs that we may ({cpus}): this may be our limit, not the server's"));
    }
    warnings
}

/// Where an open loop was not what was asked for.
fn late(outcome: &Outcome) -> Vec<String> {
    let Some(late_ms) = lateness_p99_ms(outcome) else { return Vec::new() };
    let mut warnings = Vec::new();
    if late_ms > LATE_MS_MAX {
        let late = number(late_ms);
        warnings.push(format!("one in a hundred went out {late} ms late or more: that part of the latency is ours"));
    }
    let sent = outcome.figures.lateness.len() as f64 / outcome.seconds();
    // The first and the last one may be on the other side of the measured time's ends.
    if sent + 2.0 / outcome.seconds() < RATE_SHARE_MIN * outcome.options.rate {
        let (sent, asked) = (number(sent), number(outcome.options.rate));
        warnings
            .push(format!("{sent} per second went out, not {asked}: too many were on their way, or we were too slow"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circumstances::Circumstances;
    use crate::clock::SECOND_NS;
    use crate::figures::Figures;
    use crate::options::Options;
    use crate::outcome::Sample;
    use crate::series::Series;

    /// Ten seconds of echo by one thread that was busy for `busy_s` of them, and 1,000 requests, each `late_ms` late.
    fn outcome(arguments: &[&str], busy_s: f64, late_ms: u64) -> Outcome {
        let mut options = Options::of(arguments);
        options.pids = vec![1];
        let busy_ns = (busy_s * 1e9) as u64;
        let to = Sample { at: 10 * SECOND_NS, done: 1_000, threads_cpu_ns: vec![busy_ns], ..Sample::default() };
        let joined = Sample { joined: u64::from(options.clients), ..Sample::default() };
        let mut figures = Figures::default();
        (0..1_000).for_each(|_| figures.note_latency(5_000_000));
        figures.cut(true);
        (0..1_000).for_each(|_| figures.lateness.saturating_record(late_ms * 1_000_000));
        Outcome {
            options,
            figures,
            before: Sample::default(),
            joined,
            from: Sample { threads_cpu_ns: vec![0], ..Sample::default() },
            to,
            series: Series::default(),
            circumstances: Circumstances::now(),
        }
    }

    fn check(outcome: &Outcome, own_cpus: f64, expected: &[&str]) {
        let mut lines = Lines::default();
        lines.add("own_cpus", "", own_cpus, "");
        lines.add("rate_per_s", "", 100.0, "");
        let found = [failures(outcome, &mut lines), warnings(outcome, &lines)].concat();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        found.iter().zip(expected).for_each(|(found, expected)| assert!(found.contains(expected), "{found}"));
    }

    #[test]
    fn our_own_limits_are_said() {
        check(&outcome(&[], 8.9, 0), 0.1, &[]);
        check(&outcome(&[], 9.1, 0), 0.1, &["a thread of ours was busy for 91 %"]);
        check(&outcome(&[], 5.0, 0), 1_000.0, &["we used all CPUs"]);
        check(&outcome(&["--rate", "100"], 0.0, 0), 0.1, &[]);
        check(&outcome(&["--rate", "100"], 0.0, 3), 0.1, &["3.00 ms late or more"]);
        check(&outcome(&["--rate", "200"], 0.0, 0), 0.1, &["100 per second went out, not 200"]);
    }

    #[test]
    fn thresholds_fail_a_run() {
        check(&outcome(&["--max-p99-ms", "6", "--min-rate", "100"], 0.0, 0), 0.1, &[]);
        let both = outcome(&["--max-p99-ms", "4", "--min-rate", "101"], 0.0, 0);
        check(&both, 0.1, &["p99 is 5.00 ms, above 4", "the rate is 100, below 101"]);
        let mut nothing = outcome(&["--max-p99-ms", "6"], 0.0, 0);
        nothing.figures = Figures::default();
        check(&nothing, 0.1, &["there is no p99"]);
    }
}
