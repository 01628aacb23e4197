//! Routes with figures: what became of the conversations of a time, and what agents have to do.

use serde_json::{Value, json};

use super::page::wrong;
use super::wants::Counting;
use crate::app::job::{Job, JobError, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::route::Call;
use crate::app::settings::Word as _;
use crate::apps::utalk::payload::instant;
use crate::apps::utalk::tables::lists::{self, Figures};
use crate::apps::utalk::tables::work::{self, OfAgent};
use crate::apps::utalk::turn::Turn;
use crate::apps::utalk::who::{Asker, Role};
use crate::apps::utalk::wish::Wait;

impl Turn<'_> {
    /// `GET /api/kpis/conversations`: those that began from `startDate` on, up to `endDate`.
    pub(super) fn count_conversations(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        let day = |name: &'static str, end: bool| match call.query_value(name).filter(|text| !text.is_empty()) {
            None => Ok(if end { i64::MAX as u64 } else { 0 }),
            Some(text) => time_of(&text, end).ok_or_else(|| wrong(name)),
        };
        let question = lists::figures(&self.scope.key, day("startDate", false)?, day("endDate", true)?);
        self.ask(Job::Read(vec![question]), Wait::Counting(Counting::Conversations(asker.clone())));
        Ok(())
    }

    /// `GET /api/kpis/agents`.
    pub(super) fn count_agents(&mut self, asker: &Asker) {
        let question = work::loads(&self.scope.key);
        self.ask(Job::Read(vec![question]), Wait::Counting(Counting::Agents(asker.clone())));
    }

    /// The store has counted.
    pub(in crate::apps::utalk) fn on_counted(&mut self, counting: &Counting, outcome: &Outcome) {
        let (asker, data) = match counting {
            Counting::Conversations(asker) => (asker, metrics(outcome)),
            Counting::Agents(asker) => (asker, self.agents(outcome)),
        };
        match data {
            Ok(data) => self.answer(asker, "", &data),
            Err(error) => {
                let fail = self.store_failed(&error);
                self.refuse(asker, &fail);
            }
        }
    }

    fn agents(&self, outcome: &Outcome) -> Result<Value, JobError> {
        let loads: Vec<OfAgent> = outcome.rows(0)?;
        let active = |id: &str| loads.iter().find(|load| *load.agent == *id).map_or(0, |load| load.number);
        let agents = self.scope.users.values().filter(|user| *user.role == *Role::Agent.word());
        let shown = agents.map(|user| {
            json!({
                "id": user.id,
                "name": user.name,
                "email": user.email,
                "status": self.scope.seen_as(&user.id).word(),
                "currentLoad": {
                    "activeConversations": active(&user.id),
                    "maxConversations": self.settings.agent_conversations_max,
                },
            })
        });
        Ok(json!({"agents": shown.take(AGENTS_MAX).collect::<Vec<_>>()}))
    }
}

fn metrics(outcome: &Outcome) -> Result<Value, JobError> {
    let figures: Vec<Figures> = outcome.rows(0)?;
    let Figures { total, closed, resolution_ms, escalated } =
        figures.into_iter().next().unwrap_or(Figures { total: 0, closed: 0, resolution_ms: 0, escalated: 0 });
    let mean_s = if closed == 0 { 0.0 } else { resolution_ms as f64 / closed as f64 / 1_000.0 };
    let rate = if total == 0 { 0.0 } else { escalated as f64 / total as f64 };
    Ok(json!({"metrics": {
        "totalConversations": total,
        "openConversations": total - closed,
        "resolvedConversations": closed,
        "averageResolutionTime": mean_s,
        "escalationRate": rate,
    }}))
}

/// A time, or a day: its beginning, or its end.
fn time_of(text: &str, end: bool) -> Option<u64> {
    match text.len() {
        10 => {
            let midnight = instant(&format!("{text}T00:00:00Z"))?;
            Some(if end { midnight + DAY_MS } else { midnight })
        }
        _ => instant(text),
    }
}

const DAY_MS: u64 = 86_400_000;
/// Agents that are told of at once.
const AGENTS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends() {
        assert_eq!(time_of("2025-08-20", false), Some(1_755_648_000_000));
        assert_eq!(time_of("2025-08-20", true), Some(1_755_648_000_000 + DAY_MS));
        assert_eq!(time_of("2025-08-20T10:00:00.000Z", true), Some(1_755_684_000_000));
        for text in ["", "yesterday", "2025-8-20", "2025-13-40"] {
            assert_eq!(time_of(text, false), None, "{text}");
        }
    }
}
