//! Accounts by HTTP: logins and what comes of their tokens, new accounts, people who may not come in any more.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::app::AuthFailure;
use crate::app::identity::{AuthMode, AuthSettings, Authenticator, Identity, Subject};
use crate::app::job::JobErrorKind;
use crate::app::kit::audit::{self, Entry};
use crate::app::route::Refused;
use crate::apps::utalk::media;
use crate::apps::utalk::settings::Settings;
use crate::apps::utalk::tables::TABLES;
use crate::apps::utalk::{ROW, Utalk};
use crate::base::ids::NspIndex;
use crate::base::secret::Secret;
use crate::testing::{self, Id};

/// A world in which only tokens of a secret count.
pub(super) struct Rest {
    world: testing::World,
    authenticator: Authenticator,
}

impl Deref for Rest {
    type Target = testing::World;
    fn deref(&self) -> &testing::World {
        &self.world
    }
}

impl DerefMut for Rest {
    fn deref_mut(&mut self) -> &mut testing::World {
        &mut self.world
    }
}

/// What HTTP says: status and body.
pub(super) type Answer = (u16, Value);

impl Rest {
    pub(super) fn new() -> Rest {
        Rest::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Rest {
        let auth =
            AuthSettings { mode: AuthMode::Jwt, jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() };
        let (shared, shelves) = (settings.clone(), media::shelves(&settings));
        let mut world = testing::World::of(move || Utalk::new(settings.clone()), &[&TABLES], &shelves);
        world.settings = Some(Arc::new(shared));
        world.trusts(&auth);
        Rest { world, authenticator: Authenticator::new(&auth) }
    }

    /// A token of somebody of a workspace of tenant `t`.
    pub(super) fn token(&self, workspace: &str, sub: &str, role: &str) -> String {
        let claims = json!({"tenantId": "t", "workspaceId": workspace, "email": format!("{sub}@x"), "name": sub});
        let claims: Map<String, Value> = claims.as_object().unwrap().clone();
        self.authenticator.mint(Subject { sub, role, claims, ttl_s: 600 }, self.now.wall).unwrap()
    }

    pub(super) fn identity(&self, token: &str) -> Result<Arc<Identity>, AuthFailure> {
        self.authenticator.verify(token, self.now.wall)
    }

    /// Asks with a token, empty for none, and a body, null for none.
    pub(super) fn call(&mut self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let identity =
            (!token.is_empty()).then(|| self.identity(token).expect("the daemon lets no other token through"));
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let replies = self.replies.len();
        self.requests_with(&ROW, method, &format!("/utalk{path}"), |call| {
            call.identity = identity;
            call.body = body;
        });
        assert_eq!(self.replies.len(), replies + 1, "{method} {path} is answered once");
        let (status, body) = self.replies.pop().unwrap();
        assert_eq!(body["success"], json!(status < 400), "{body}");
        assert!(body["timestamp"].is_string() && body["message"].is_string(), "{body}");
        (status, body)
    }

    /// What came of it, where it was a success.
    pub(super) fn gets(&mut self, token: &str, path: &str) -> Value {
        let (status, body) = self.call(token, "GET", path, json!(null));
        assert_eq!(status, 200, "{path}: {body}");
        body["data"].clone()
    }

    /// A socket of the bearer of a token.
    pub(super) fn joins(&mut self, token: &str, nsp: u8) -> Id {
        let verified = self.identity(token);
        self.connect_to(NspIndex(nsp), [10, 0, 0, 4].into(), verified, json!({}), "")
    }

    fn create(&mut self, email: &str) -> Answer {
        let admin = self.token("w1", "boss", "admin");
        let body = json!({"email": email, "password": "correct horse", "name": "Ana", "role": "agent"});
        self.call(&admin, "POST", "/api/auth/create-user", body)
    }

    fn login(&mut self, email: &str, password: &str) -> Answer {
        // Each from a minute of its own.
        self.world.now = self.world.now.plus(60_000);
        self.call("", "POST", "/api/auth/login", json!({"email": email, "password": password}))
    }

    fn refresh(&mut self, token: &Value) -> Answer {
        self.call("", "POST", "/api/auth/refresh", json!({"refreshToken": token}))
    }
}

/// Status and code.
pub(super) fn refused((status, body): &Answer) -> (u16, &str) {
    (*status, body["error"]["code"].as_str().unwrap_or_default())
}

#[test]
fn an_account_is_made_by_an_admin_and_logs_in() {
    let mut rest = Rest::new();
    let (status, body) = rest.create(" Ana@Example.com ");
    let user = &body["data"];
    assert_eq!((status, &user["email"], &user["role"]), (201, &json!("ana@example.com"), &json!("agent")));
    assert_eq!((&user["workspaceId"], &user["tenantId"], &user["isActive"]), (&json!("w1"), &json!("t"), &json!(true)));
    let (status, body) = rest.login("ANA@example.com", "correct horse");
    let data = &body["data"];
    assert_eq!((status, &data["user"], &data["expiresIn"]), (200, user, &json!(900)));
    let access = data["accessToken"].as_str().unwrap();
    assert!(data["refreshToken"].as_str().unwrap().starts_with("eyJ"));
    assert_eq!(rest.gets(access, "/api/users/me"), *user);
    assert_eq!(rest.gets(access, "/api/auth/profile"), json!({"user": user}));
    let identity = rest.identity(access).unwrap();
    assert_eq!((identity.email(), identity.name()), (Some("ana@example.com"), Some("Ana")));
    let socket = rest.joins(access, 0);
    assert!(rest.is_open(socket), "{:?}", rest.refusal(socket));
}

#[test]
fn credentials_that_are_wrong_say_nothing_of_which() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    for (email, password) in [("ana@x", "Correct horse"), ("nobody@x", "correct horse"), ("ana@x", "correct horse ")] {
        let answer = rest.login(email, password);
        assert_eq!(refused(&answer), (401, "INVALID_CREDENTIALS"), "{email}");
        assert_eq!(answer.1["message"], json!("Email o contraseña incorrectos"));
    }
    for body in [json!({}), json!({"email": "ana@x"}), json!({"email": 7, "password": "x"}), json!([]), json!(null)] {
        rest.now = rest.now.plus(60_000);
        let answer = rest.call("", "POST", "/api/auth/login", body);
        assert_eq!(refused(&answer), (400, "VALIDATION_ERROR"));
    }
    let long = "x".repeat(100_000);
    assert_eq!(refused(&rest.login("ana@x", &long)), (401, "INVALID_CREDENTIALS"), "nobody has such a password");
}

#[test]
fn a_sixth_attempt_in_a_minute_is_too_many_for_its_address_alone() {
    let mut rest = Rest::new();
    let body = json!({"email": "ana@x", "password": "x"});
    for _ in 0..5 {
        assert_eq!(rest.call("", "POST", "/api/auth/login", body.clone()).0, 401);
    }
    let answer = rest.call("", "POST", "/api/auth/login", body.clone());
    assert_eq!(refused(&answer), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(answer.1["error"]["details"]["limit"], json!(5));
    rest.now = rest.now.plus(12_000);
    assert_eq!(rest.call("", "POST", "/api/auth/login", body).0, 401, "the next token is there");
}

#[test]
fn hashes_and_a_store_that_fail_are_503_and_nothing_is_made() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    rest.outside.hashes_fail = Some(JobErrorKind::Busy);
    assert_eq!(refused(&rest.login("ana@x", "correct horse")), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(refused(&rest.create("bob@x")), (503, "SERVICE_UNAVAILABLE"));
    rest.outside.hashes_fail = None;
    rest.store.down = true;
    assert_eq!(refused(&rest.login("ana@x", "correct horse")), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(refused(&rest.create("bob@x")), (503, "DATABASE_ERROR"));
    rest.store.down = false;
    assert_eq!(rest.login("ana@x", "correct horse").0, 200);
    assert_eq!(rest.create("bob@x").0, 201);
}

#[test]
fn a_refresh_token_is_good_once_and_brought_again_ends_its_family() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    let (_, first) = rest.login("ana@x", "correct horse");
    let (_, other) = rest.login("ana@x", "correct horse");
    let (status, second) = rest.refresh(&first["data"]["refreshToken"]);
    assert_eq!((status, &second["data"]["user"]), (200, &first["data"]["user"]));
    assert_ne!(second["data"]["refreshToken"], first["data"]["refreshToken"]);
    rest.restart();
    let (status, third) = rest.refresh(&second["data"]["refreshToken"]);
    assert_eq!(status, 200, "kept over a restart");
    assert_eq!(refused(&rest.refresh(&first["data"]["refreshToken"])), (401, "UNAUTHORIZED"));
    assert_eq!(refused(&rest.refresh(&third["data"]["refreshToken"])), (401, "UNAUTHORIZED"), "the family has ended");
    assert_eq!(rest.refresh(&other["data"]["refreshToken"]).0, 200, "another login is another family");
}

#[test]
fn what_is_no_refresh_token_renews_nothing_and_one_is_no_access_token() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    let (_, login) = rest.login("ana@x", "correct horse");
    let refresh = login["data"]["refreshToken"].clone();
    let foreign = Rest::new().token("w1", "ana", "agent");
    for token in [json!("x"), json!(""), json!(null), json!(7), login["data"]["accessToken"].clone(), json!(foreign)] {
        assert_eq!(refused(&rest.refresh(&token)), (401, "UNAUTHORIZED"), "{token}");
    }
    let answer = rest.call(refresh.as_str().unwrap(), "GET", "/api/users/me", json!(null));
    assert_eq!(refused(&answer), (401, "MALFORMED_TOKEN"));
    let socket = rest.joins(refresh.as_str().unwrap(), 0);
    assert_eq!(rest.refusal(socket).0, "Authentication failed");
    rest.now = rest.now.plus(604_800_000);
    assert_eq!(refused(&rest.refresh(&refresh)), (401, "UNAUTHORIZED"), "it has ended");
}

#[test]
fn a_logout_is_always_a_success_and_ends_the_family() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    let (_, login) = rest.login("ana@x", "correct horse");
    let refresh = &login["data"]["refreshToken"];
    for body in
        [json!({}), json!({"refreshToken": "x"}), json!({"refreshToken": refresh}), json!({"refreshToken": refresh})]
    {
        assert_eq!(rest.call("", "POST", "/api/auth/logout", body).0, 200);
    }
    assert_eq!(refused(&rest.refresh(refresh)), (401, "UNAUTHORIZED"));
    rest.store.down = true;
    assert_eq!(rest.call("", "POST", "/api/auth/logout", json!({"refreshToken": refresh})).0, 200);
}

#[test]
fn an_email_has_one_account_over_all_scopes() {
    let mut rest = Rest::new();
    assert_eq!(rest.create("ana@x").0, 201);
    assert_eq!(refused(&rest.create("Ana@X")), (409, "USER_ALREADY_EXISTS"));
    let other = rest.token("w2", "boss", "admin");
    let body = json!({"email": "ana@x", "password": "other", "name": "Ana"});
    assert_eq!(refused(&rest.call(&other, "POST", "/api/auth/create-user", body)), (409, "USER_ALREADY_EXISTS"));
    assert_eq!(rest.login("ana@x", "correct horse").0, 200);
}

#[test]
fn only_an_admin_makes_accounts_and_only_whole_ones() {
    let mut rest = Rest::new();
    let good = json!({"email": "a@x", "password": "p", "name": "A"});
    for role in ["agent", "service", "viewer", "bot", "other"] {
        let token = rest.token("w1", "u", role);
        let answer = rest.call(&token, "POST", "/api/auth/create-user", good.clone());
        assert_eq!(refused(&answer), (403, "FORBIDDEN"), "{role}");
    }
    let admin = rest.token("w1", "boss", "superadmin");
    for (path, value) in [
        ("email", json!("a")),
        ("email", json!(null)),
        ("password", json!("")),
        ("password", json!("x".repeat(2_000))),
        ("name", json!(7)),
        ("role", json!("janitor")),
        ("role", json!("*")),
    ] {
        let mut body = good.clone();
        body[path] = value;
        let answer = rest.call(&admin, "POST", "/api/auth/create-user", body);
        assert_eq!(
            (refused(&answer), &answer.1["error"]["details"]["path"]),
            ((400, "VALIDATION_ERROR"), &json!(path))
        );
    }
    assert_eq!(rest.call(&admin, "POST", "/api/auth/create-user", good).1["data"]["role"], json!("agent"));
}

#[test]
fn a_user_who_is_not_active_is_expelled_everywhere_and_let_in_again() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    let (_, login) = rest.login("ana@x", "correct horse");
    let (access, refresh) = (login["data"]["accessToken"].as_str().unwrap(), &login["data"]["refreshToken"]);
    let admin = rest.token("w1", "boss", "admin");
    let sockets = [rest.joins(access, 0), rest.joins(access, 1)];
    let other = rest.joins(&admin, 2);
    for status in ["banned", "inactive"] {
        let answer = rest.call(&admin, "PUT", "/api/users/ana@x/status", json!({"status": status}));
        assert_eq!((answer.0, &answer.1["data"]["isActive"]), (200, &json!(false)));
    }
    for socket in sockets {
        let told = rest.heard(socket).into_iter().find(|(event, _)| event == "user:expelled").unwrap().1;
        assert_eq!(told, json!({"reason": "account_suspended", "message": "Tu cuenta ha sido suspendida"}));
        assert!(!rest.is_open(socket));
    }
    assert!(rest.is_open(other));
    let again = rest.joins(access, 0);
    assert_eq!(rest.refusal(again).1["code"], json!("ACCOUNT_SUSPENDED"));
    assert_eq!(refused(&rest.call(access, "GET", "/api/users/me", json!(null))), (403, "USER_INACTIVE"));
    assert_eq!(refused(&rest.login("ana@x", "correct horse")), (403, "USER_INACTIVE"));
    assert_eq!(refused(&rest.login("ana@x", "wrong")), (401, "INVALID_CREDENTIALS"));
    assert_eq!(refused(&rest.refresh(refresh)), (403, "USER_INACTIVE"));
    rest.restart();
    assert_eq!(refused(&rest.call(access, "GET", "/api/users/me", json!(null))), (403, "USER_INACTIVE"));
    let id = login["data"]["user"]["id"].as_str().unwrap();
    let admin = rest.token("w1", "boss", "admin");
    assert_eq!(rest.call(&admin, "PUT", &format!("/api/users/{id}/status"), json!({"status": "active"})).0, 200);
    let (_, login) = rest.login("ana@x", "correct horse");
    let socket = rest.joins(login["data"]["accessToken"].as_str().unwrap(), 0);
    assert!(rest.is_open(socket));
    assert_eq!(refused(&rest.refresh(refresh)), (401, "UNAUTHORIZED"), "tokens of before have ended");
}

#[test]
fn nobody_of_another_scope_is_there_to_be_expelled() {
    let mut rest = Rest::new();
    rest.create("ana@x");
    let other = rest.token("w2", "boss", "admin");
    for (token, body, expected) in [
        (other.clone(), json!({"status": "banned"}), (404, "USER_NOT_FOUND")),
        (rest.token("w1", "u", "agent"), json!({"status": "banned"}), (403, "FORBIDDEN")),
        (rest.token("w1", "boss", "admin"), json!({"status": "gone"}), (400, "VALIDATION_ERROR")),
        (rest.token("w1", "boss", "admin"), json!({}), (400, "VALIDATION_ERROR")),
    ] {
        let answer = rest.call(&token, "PUT", "/api/users/ana@x/status", body);
        assert_eq!(refused(&answer), expected);
    }
    assert_eq!(rest.login("ana@x", "correct horse").0, 200);
}

#[test]
fn the_team_is_the_scopes_page_by_page_the_newest_first() {
    let mut rest = Rest::new();
    for name in ["a", "b", "c", "d", "e"] {
        rest.now = rest.now.plus(1_000);
        assert_eq!(rest.create(&format!("{name}@x")).0, 201);
    }
    let admin = rest.token("w1", "boss", "admin");
    let (mut emails, mut cursor) = (Vec::new(), String::new());
    loop {
        let data = rest.gets(&admin, &format!("/api/team?limit=2&cursor={cursor}"));
        emails.extend(data["users"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        assert_eq!(data["pagination"]["total"], json!(5));
        let Some(next) = data["pagination"]["nextCursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(emails, ["e@x", "d@x", "c@x", "b@x", "a@x"]);
    rest.joins(&admin, 0);
    let data = rest.gets(&admin, "/api/team");
    let online: Vec<&Value> =
        data["users"].as_array().unwrap().iter().filter(|user| user["isOnline"] == true).collect();
    assert_eq!((online.len(), &online[0]["id"]), (1, &json!("boss")));
    let other = rest.token("w2", "u", "agent");
    assert_eq!(rest.gets(&other, "/api/team")["users"], json!([]));
    let viewer = rest.token("w1", "v", "viewer");
    assert_eq!(refused(&rest.call(&viewer, "GET", "/api/team", json!(null))), (403, "FORBIDDEN"));
    for query in ["limit=0", "limit=101", "limit=x", "limit=-1"] {
        let answer = rest.call(&admin, "GET", &format!("/api/team?{query}"), json!(null));
        assert_eq!(refused(&answer), (400, "VALIDATION_ERROR"), "{query}");
    }
    for cursor in ["x", &crate::app::kit::cursor::write("team/t/w2", [1, 2])] {
        let answer = rest.call(&admin, "GET", &format!("/api/team?cursor={cursor}"), json!(null));
        assert_eq!(refused(&answer), (400, "INVALID_CURSOR"));
    }
}

#[test]
fn the_daemons_own_refusals_speak_as_ours() {
    let now = crate::base::time::WallMillis(0);
    let text = (ROW.http.error)(&Refused::ENDED_TOKEN, now);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["error"]["code"], json!("TOKEN_EXPIRED"));
}

#[test]
fn changes_of_accounts_are_kept_with_who_made_them_from_where() {
    let mut rest = Rest::new();
    let (admin, agent) = (rest.token("w1", "boss", "admin"), rest.token("w1", "ana", "agent"));
    let id = rest.create("ana@x").1["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(rest.create("ana@x").0, 409);
    let status = |status: &str| json!({"status": status});
    assert_eq!(rest.call(&agent, "PUT", "/api/users/ana@x/status", status("banned")).0, 403);
    assert_eq!(rest.call(&admin, "PUT", "/api/users/ana@x/status", status("banned")).0, 200);
    let log: Vec<Entry> = rest.store.rows(audit::newest("utalk", 9));
    let shown: Vec<_> = log.iter().map(|it| (&*it.action, &*it.actor, &*it.target, &*it.ip, &*it.outcome)).collect();
    let target = format!("t/w1/{id}");
    let by = |action| (action, "boss", &*target, "10.0.0.4", "success");
    assert_eq!(shown, [by("set_status"), by("create_user")]);
    assert_eq!(serde_json::from_str::<Value>(&log[0].details).unwrap(), json!({"status": "banned"}));
    assert!(!format!("{log:?}").contains("correct horse"));
}
