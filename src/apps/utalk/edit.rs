//! What people set of a conversation: status, priority, tags, the customer's name.

use std::sync::Arc;

use super::conversation::{Row, Status};
use super::tables::escalations;
use super::turn::{Turn, access_denied};
use super::who::Asker;
use super::wish::{Changed, Edit};
use crate::app::kit::ack::Fail;

impl Turn<'_> {
    /// Sets fields; an edit that changes nothing is answered and told to nobody.
    pub(super) fn edit(&mut self, asker: Asker, id: &Arc<str>, edit: Edit) {
        let settings = self.settings;
        let row = self.scope.conversation(id).map(|conversation| conversation.row.clone());
        let edited = match row {
            None => Err(not_found()),
            Some(row) if !row.is_writable(&asker.who, settings) => Err(access_denied()),
            Some(row) => edited(row, edit),
        };
        match edited {
            Err(fail) => self.refuse(&asker, &fail),
            Ok((row, false)) => self.answer(&asker, "conversation", &row.shown(row.unread())),
            Ok((row, true)) => {
                let is_over = row.status == Status::Closed;
                let end = || escalations::end(&self.scope.key, id, Some(&asker.who.user), self.now.wall);
                let also = is_over.then(end).into_iter().collect();
                self.amend(asker, &row, Changed::Edited, also);
            }
        }
    }
}

/// The row as it is to be, and whether that is another one.
fn edited(row: Row, edit: Edit) -> Result<(Row, bool), Fail> {
    let Edit { status, customer_name, priority, tags } = edit;
    let mut after = Row {
        status: status.unwrap_or(row.status),
        customer_name: customer_name.or_else(|| row.customer_name.clone()),
        priority: priority.unwrap_or(row.priority),
        tags: tags.unwrap_or_else(|| row.tags.clone()),
        ..row.clone()
    };
    if !may_become(row.status, after.status) {
        return Err(Fail::new("INVALID_TRANSITION", "Cambio de estado no permitido"));
    }
    if after.status == Status::Closed {
        (after.offer, after.offer_to, after.ahead) = (None, None, false);
    }
    let differs = after != row;
    Ok((after, differs))
}

/// open ↔ pending, any → closed, closed → open. Escalation has its own way in and out.
fn may_become(from: Status, to: Status) -> bool {
    use Status::{Closed, Open, Pending};
    from == to || to == Closed || matches!((from, to), (Open, Pending) | (Pending, Open) | (Closed, Open))
}

/// There is no such conversation.
pub(super) fn not_found() -> Fail {
    Fail::new("CONVERSATION_NOT_FOUND", "Conversación no encontrada")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_another_by_few_ways() {
        use Status::{Closed, Escalated, Open, Pending};
        let all = [Open, Pending, Closed, Escalated];
        for (from, to) in [
            (Open, vec![Open, Pending, Closed]),
            (Pending, vec![Open, Pending, Closed]),
            (Closed, vec![Open, Closed]),
            (Escalated, vec![Closed, Escalated]),
        ] {
            assert_eq!(all.into_iter().filter(|status| may_become(from, *status)).collect::<Vec<_>>(), to, "{from:?}");
        }
    }
}
