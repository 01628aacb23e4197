//! The work of agents by HTTP: assigned, handed on, left, given back, escalated; by the rules of the sockets, and told to them.

use serde_json::{Value, json};

use super::rest::{Rest, refused};
use crate::testing::Id;

const PATH: &str = "/api/conversations/conv_test";

/// A world with two agents, an admin and a viewer, their tokens, sockets of the first three, and a conversation.
struct Office {
    rest: Rest,
    tokens: [String; 4],
    sockets: [Id; 3],
}

impl Office {
    fn new() -> Office {
        let mut rest = Rest::new();
        let tokens = [("ana", "agent"), ("bea", "agent"), ("boss", "admin"), ("vic", "viewer")]
            .map(|(user, role)| rest.token("w1", user, role));
        let sockets = [0, 1, 2].map(|at| rest.joins(&tokens[at], 0));
        let first = json!({"messageId": "m1", "conversationId": "conv_test", "text": "hola"});
        assert_eq!(rest.call(&tokens[0], "POST", "/api/messages", first).0, 201);
        rest.pass(100);
        let mut office = Office { rest, tokens, sockets };
        office.names(0);
        office
    }

    /// What came of it, and its status.
    fn asks(&mut self, who: usize, method: &str, path: &str, body: Value) -> (u16, Value) {
        let token = self.tokens[who].clone();
        let (status, body) = self.rest.call(&token, method, &path.replace('~', PATH), body);
        (status, body["data"].clone())
    }

    fn refuses(&mut self, who: usize, method: &str, path: &str, body: Value, expected: (u16, &str)) {
        let token = self.tokens[who].clone();
        let answer = self.rest.call(&token, method, &path.replace('~', PATH), body);
        assert_eq!(refused(&answer), expected, "{who} {method} {path}");
    }

    /// What a socket has heard; the others have forgotten it then.
    fn names(&mut self, who: usize) -> Vec<String> {
        let heard = self.sockets.map(|id| self.rest.heard(id));
        heard[who].iter().map(|(name, _)| name.clone()).collect()
    }

    fn assigned(&mut self) -> Value {
        self.asks(2, "GET", "~", json!(null)).1["assignedAgent"].clone()
    }
}

#[test]
fn an_agent_is_assigned_by_id_or_email_once() {
    let mut office = Office::new();
    for (who, body, expected) in [
        (3, json!({"agentId": "ana"}), (403, "FORBIDDEN")),
        (0, json!({}), (400, "VALIDATION_ERROR")),
        (0, json!({"agentId": 7}), (400, "VALIDATION_ERROR")),
        (0, json!({"agentId": "nobody"}), (404, "AGENT_NOT_FOUND")),
        (0, json!({"agentEmail": "vic@x"}), (404, "AGENT_NOT_FOUND")),
    ] {
        office.refuses(who, "POST", "~/assign", body, expected);
    }
    let nowhere = "/api/conversations/conv_none/assign";
    office.refuses(2, "PUT", nowhere, json!({"agentId": "ana"}), (404, "CONVERSATION_NOT_FOUND"));
    assert_eq!((office.assigned(), office.names(1)), (Value::Null, vec![]), "nothing has changed");
    let (status, data) = office.asks(2, "POST", "~/assign", json!({"assignedTo": "ana@x"}));
    assert_eq!((status, &data["conversationId"], &data["assignedAgent"]), (200, &json!("conv_test"), &json!("ana")));
    assert_eq!(data["assignedAt"], json!(office.rest.now.wall.to_string()));
    assert_eq!(office.names(0), ["conversation:assigned", "conversation:updated"]);
    // The same again is so already; another one's it is not.
    assert_eq!(office.asks(2, "PUT", "~/assign", json!({"agentId": "ana"})), (200, data));
    assert_eq!(office.names(0), [""; 0]);
    office.refuses(1, "PUT", "~/assign", json!({"agentId": "bea"}), (409, "CONVERSATION_ALREADY_ASSIGNED"));
    let agents = office.asks(0, "GET", "~/assigned-agents", json!(null)).1["assignedAgents"].clone();
    assert_eq!((&agents[0]["id"], &agents[0]["email"]), (&json!("ana"), &json!("ana@x")));
    let own = office.asks(0, "GET", "/api/conversations?assignedTo=me", json!(null)).1;
    assert_eq!(own["pagination"]["total"], json!(1));
}

#[test]
fn a_conversation_is_left_by_the_one_who_has_it_or_an_admin() {
    let mut office = Office::new();
    for (method, path, body) in [
        ("PUT", "~/unassign", json!(null)),
        ("POST", "~/transfer", json!({"toAgent": "bea"})),
        ("POST", "~/return-to-bot", json!(null)),
    ] {
        office.refuses(0, method, path, body.clone(), (400, "CONVERSATION_NOT_ASSIGNED"));
        office.refuses(3, method, path, body.clone(), (403, "FORBIDDEN"));
        office.asks(2, "POST", "~/assign", json!({"agentId": "ana"}));
        office.refuses(1, method, path, body.clone(), (403, "ACCESS_DENIED"));
        let nowhere = path.replace('~', "/api/conversations/conv_none");
        office.refuses(2, method, &nowhere, body.clone(), (404, "CONVERSATION_NOT_FOUND"));
        office.names(0);
        let (status, data) = office.asks(0, method, path, body);
        assert_eq!((status, &data["conversationId"]), (200, &json!("conv_test")), "{path}: {data}");
        match path {
            "~/transfer" => {
                assert_eq!((&data["fromAgent"], &data["toAgent"]), (&json!("ana"), &json!("bea")));
                assert_eq!(office.names(1), ["conversation:assigned", "conversation:updated"]);
                office.asks(2, "PUT", "~/unassign", json!(null));
            }
            "~/unassign" => assert_eq!(office.names(1), ["conversation:updated"]),
            _ => {
                assert_eq!((&data["botEnabled"], &data["assignedAgent"]), (&json!(true), &Value::Null));
                assert_eq!(office.names(1), ["bot:resumed", "conversation:updated"]);
            }
        }
        assert_eq!(office.assigned(), Value::Null);
    }
}

#[test]
fn a_transfer_names_somebody_who_is_there_and_says_why() {
    let mut office = Office::new();
    office.asks(2, "POST", "~/assign", json!({"agentId": "ana"}));
    let long = "x".repeat(501);
    for (body, expected) in [
        (json!({"toAgent": "nobody"}), (404, "AGENT_NOT_FOUND")),
        (json!({"reason": "x"}), (400, "VALIDATION_ERROR")),
        (json!({"toAgent": "bea", "reason": long}), (400, "VALIDATION_ERROR")),
    ] {
        office.refuses(0, "POST", "~/transfer", body, expected);
    }
    office.names(0);
    let body = json!({"targetAgentEmail": "bea@x", "reason": "habla inglés"});
    assert_eq!(office.asks(0, "POST", "~/transfer", body).1["toAgent"], json!("bea"));
    let bea = office.sockets[1];
    let told = office.rest.hears(bea, "conversation:assigned");
    assert_eq!((&told["reason"], &told["fromAgent"]), (&json!("habla inglés"), &json!("ana")));
}

#[test]
fn an_escalation_begins_and_is_decided_once() {
    let mut office = Office::new();
    let about = |more: Value| {
        let mut body = json!({"conversationId": "conv_test", "reason": "manual"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (who, body, expected) in [
        (3, about(json!({})), (403, "FORBIDDEN")),
        (0, json!({"reason": "manual"}), (400, "VALIDATION_ERROR")),
        (0, about(json!({"reason": "boredom"})), (400, "VALIDATION_ERROR")),
        (0, about(json!({"agentId": "nobody"})), (404, "AGENT_NOT_FOUND")),
        (0, about(json!({"conversationId": "conv_none"})), (404, "CONVERSATION_NOT_FOUND")),
    ] {
        office.refuses(who, "POST", "/api/escalate", body, expected);
    }
    let (status, first) = office.asks(0, "POST", "/api/escalate", about(json!({"agentId": "bea", "notes": "cuidado"})));
    assert_eq!((status, &first["status"], &first["toAgent"]), (201, &json!("pending"), &json!("bea")));
    assert_eq!(office.names(1), ["escalation:started", "conversation:updated"]);
    let again = office.asks(0, "POST", "/api/escalate", about(json!({})));
    assert_eq!((again.0, &again.1["id"]), (201, &first["id"]), "one at a time");
    let path = |verdict: &str| format!("/api/escalations/{}/{verdict}", first["id"].as_str().unwrap());
    office.refuses(0, "POST", &path("accept"), json!(null), (403, "ACCESS_DENIED"));
    office.refuses(3, "POST", &path("reject"), json!({}), (403, "FORBIDDEN"));
    let (status, data) = office.asks(1, "POST", &path("accept"), json!(null));
    assert_eq!((status, &data["id"], &data["status"]), (201, &first["id"], &json!("accepted")));
    assert_eq!(office.names(2), ["escalation:accepted", "conversation:assigned", "conversation:updated"]);
    assert_eq!(office.assigned(), json!("bea"));
    for (verdict, body) in [("accept", json!(null)), ("reject", json!(null)), ("reject", json!({"reason": "x"}))] {
        office.refuses(2, "POST", &path(verdict), body, (409, "ESCALATION_NOT_PENDING"));
    }
    office.refuses(2, "POST", &path("reject"), json!([]), (400, "VALIDATION_ERROR"));
    let none = "/api/escalations/escalation_none/accept";
    office.refuses(2, "POST", none, json!(null), (409, "ESCALATION_NOT_PENDING"));
    // One that is rejected leaves it escalated.
    office.asks(2, "POST", "~/return-to-bot", json!(null));
    let second = office.asks(0, "POST", "/api/escalate", about(json!({}))).1;
    office.names(0);
    let path = format!("/api/escalations/{}/reject", second["id"].as_str().unwrap());
    let (status, data) = office.asks(1, "POST", &path, json!({"reason": "no es para mí"}));
    assert_eq!((status, &data["status"], &data["conversationId"]), (201, &json!("rejected"), &json!("conv_test")));
    assert_eq!(office.names(2), ["escalation:rejected", "conversation:updated"]);
    assert_eq!(office.asks(2, "GET", "~", json!(null)).1["status"], json!("escalated"));
}
