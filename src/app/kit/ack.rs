//! How a client is answered (DESIGN 5.4): why it was refused, as error events and acks carry it, and the two ways an ack is spelled.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::effect::Effect;
use crate::app::settings::words;
use crate::base::ids::SocketRef;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fail {
    /// From the application's closed set.
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl Fail {
    pub fn new(code: &'static str, message: impl Into<String>) -> Fail {
        Fail { code, message: message.into(), details: None }
    }

    /// A payload has not the shape it should have.
    pub fn validation(message: impl Into<String>) -> Fail {
        Fail::new("VALIDATION", message)
    }

    /// The same with `details`.
    pub fn with(self, details: Value) -> Fail {
        Fail { details: Some(details), ..self }
    }
}

words! {
    /// How an ack is spelled.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub enum AckStyle {
        /// One object: `{"ok":true, …reply}` or `{"ok":false,"error":{"code","message","details"?}}`.
        #[default]
        Result = "result",
        /// As callbacks of Node.js take it: `null, reply` or `{"code","message","details"?}`.
        Node = "node",
    }
}

impl AckStyle {
    /// The ack `ack` of a client that asked for one, with a reply: an object, or null where there is nothing to say.
    pub fn reply(self, socket: SocketRef, ack: Option<u64>, reply: Value) -> Option<Effect> {
        Some(effect(socket, ack?, self.good(reply)))
    }

    /// The arguments of such an ack, without brackets.
    pub(crate) fn good(self, reply: Value) -> String {
        match (self, reply) {
            (AckStyle::Result, reply) => {
                let mut good = json!({"ok": true});
                if let (Value::Object(good), Value::Object(reply)) = (&mut good, reply) {
                    good.extend(reply);
                }
                good.to_string()
            }
            (AckStyle::Node, reply) => format!("null,{reply}"),
        }
    }

    /// The same with an error: a [`Fail`], or what the application makes of one.
    pub fn refusal(self, socket: SocketRef, ack: Option<u64>, error: &impl Serialize) -> Option<Effect> {
        let id = ack?;
        let args = match self {
            AckStyle::Result => json!({"ok": false, "error": error}),
            AckStyle::Node => json!(error),
        };
        Some(effect(socket, id, args.to_string()))
    }
}

fn effect(socket: SocketRef, id: u64, args: String) -> Effect {
    Effect::Ack { socket, id, args: Bytes::from(args), attachments: Vec::new(), beside: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Key, ShardId};

    const SOCKET: SocketRef = SocketRef { shard: ShardId(0), key: Key { slot: 1, generation: 0 } };

    fn check(effect: Option<Effect>, expected: &str) {
        let Some(Effect::Ack { socket: SOCKET, id: 7, args, .. }) = effect else { panic!("no ack of this event") };
        assert_eq!(args, expected);
    }

    #[test]
    fn both_styles_are_as_their_clients_read_them() {
        let (result, node) = (AckStyle::Result, AckStyle::Node);
        check(result.reply(SOCKET, Some(7), json!({"id": 1})), r#"{"ok":true,"id":1}"#);
        check(result.reply(SOCKET, Some(7), json!(null)), r#"{"ok":true}"#);
        check(node.reply(SOCKET, Some(7), json!({"id": 1})), r#"null,{"id":1}"#);
        check(node.reply(SOCKET, Some(7), json!(null)), "null,null");
        let fail = Fail::new("NOT_FOUND", "Nothing").with(json!({"id": 7}));
        let error = r#"{"code":"NOT_FOUND","message":"Nothing","details":{"id":7}}"#;
        check(result.refusal(SOCKET, Some(7), &fail), &format!(r#"{{"ok":false,"error":{error}}}"#));
        check(node.refusal(SOCKET, Some(7), &fail), error);
        let plain = r#"{"code":"VALIDATION","message":"No"}"#;
        check(node.refusal(SOCKET, Some(7), &Fail::validation("No")), plain);
    }

    #[test]
    fn nobody_is_acked_who_did_not_ask() {
        for style in [AckStyle::Result, AckStyle::Node] {
            assert!(style.reply(SOCKET, None, json!({})).is_none());
            assert!(style.refusal(SOCKET, None, &Fail::validation("No")).is_none());
        }
    }
}
