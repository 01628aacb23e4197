//! An escalation: a conversation is offered to an agent, or to anybody. Its row, how events tell of it, and the words of customers that begin one.
//!
//! ```text
//! pending → accepted → completed
//!         ↘ rejected
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use crate::app::settings::{Word, words};
use crate::base::time::WallMillis;

words! {
    /// What has begun it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Reason { Manual = "manual", Keyword = "keyword", Intent = "intent", Timeout = "timeout" }
}

words! {
    /// What it is at.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Stage {
        Pending = "pending",
        Accepted = "accepted",
        Completed = "completed",
        Rejected = "rejected",
    }
}

/// A row of `ut_escalations`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Escalation {
    pub id: Arc<str>,
    pub conversation: Arc<str>,
    pub reason: Reason,
    /// The agent who has begun it, or who has not answered.
    pub from_agent: Option<Arc<str>>,
    /// The only one who may accept it, beside admins; nobody: anybody may.
    pub to_agent: Option<Arc<str>>,
    pub stage: Stage,
    pub notes: Option<Arc<str>>,
    pub created_at: WallMillis,
}

impl Escalation {
    /// `escalation:started`.
    pub(super) fn as_started(&self) -> Value {
        json!({
            "id": self.id,
            "conversationId": self.conversation,
            "reason": self.reason.word(),
            "fromAgent": self.from_agent,
            "toAgent": self.to_agent,
            "status": self.stage.word(),
            "createdAt": self.created_at.to_string(),
        })
    }
}

/// `escalation:accepted`.
pub(super) fn as_accepted(id: &str, conversation: &str, at: WallMillis) -> Value {
    json!({"id": id, "conversationId": conversation, "status": Stage::Accepted.word(), "acceptedAt": at.to_string()})
}

/// `escalation:rejected`.
pub(super) fn as_rejected(id: &str, conversation: &str, at: WallMillis) -> Value {
    json!({"id": id, "conversationId": conversation, "status": Stage::Rejected.word(), "rejectedAt": at.to_string()})
}

/// Whether one of the keywords is in a text: whole, whatever its case and accents. A keyword may be several words.
pub(super) fn has_keyword(text: &str, keywords: &[String]) -> bool {
    let said = folded(text);
    keywords.iter().any(|keyword| {
        let keyword = folded(keyword);
        !keyword.trim().is_empty() && said.contains(&*keyword)
    })
}

/// Its words in small letters without accents, each between blanks.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + 2);
    folded.push(' ');
    for letter in text.chars().flat_map(char::to_lowercase) {
        match bare(letter) {
            Some(letter) if letter.is_alphanumeric() => folded.push(letter),
            Some(_) if folded.ends_with(' ') => {}
            Some(_) => folded.push(' '),
            None => {}
        }
    }
    if !folded.ends_with(' ') {
        folded.push(' ');
    }
    folded
}

/// A small letter without its accent; an accent that stands by itself is nothing.
fn bare(letter: char) -> Option<char> {
    let bare = match letter {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => 'c',
        'ď' => 'd',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => 'e',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => 'g',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' => 'i',
        'ĺ' | 'ļ' | 'ľ' => 'l',
        'ñ' | 'ń' | 'ņ' | 'ň' => 'n',
        'ò'..='ö' | 'ō' | 'ŏ' | 'ő' => 'o',
        'ŕ' | 'ŗ' | 'ř' => 'r',
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => 'u',
        'ŵ' => 'w',
        'ý' | 'ÿ' | 'ŷ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        '\u{300}'..='\u{36f}' => return None,
        letter => letter,
    };
    Some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_a_whole_word() {
        let words: Vec<String> = ["urgente", "Atención", "no funciona", "", "?"].map(String::from).to_vec();
        for (text, expected) in [
            ("Es URGENTE", true),
            ("¡Urgénte!", true),
            ("urgente", true),
            ("u\u{301}rgente", true),
            ("urgentes", false),
            ("urgentemente", false),
            ("atencion, por favor", true),
            ("ATENCIO\u{301}N", true),
            ("Mi teléfono no  funciona.", true),
            ("no me funciona", false),
            ("casino funciona", false),
            ("urgente2", false),
            ("no\nfunciona", true),
            ("", false),
            ("¿?", false),
            ("Hola", false),
        ] {
            assert_eq!(has_keyword(text, &words), expected, "{text}");
        }
        assert!(!has_keyword("urgente", &[]));
    }
}
