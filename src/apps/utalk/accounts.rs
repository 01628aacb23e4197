//! Logins: who has which password, and the tokens that come of it. They are decided at one home of the process, which knows no scope: an
//! e-mail is unique over all of them.
//!
//! A refresh token is good once. It is a token of ours that says of which family it is; the store has its hash. One that is brought
//! again ends its family: one of the two who have it has stolen it.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::http::envelope::{self, done};
use super::settings::Settings;
use super::tables::accounts::{self as tables, Credentials};
use super::turn::Shared;
use super::user::Account;
use super::who::scope_parts;
use crate::app::effect::{Effect, Effects, Token};
use crate::app::hash::{Hash, Hashed};
use crate::app::identity::Subject;
use crate::app::job::{Job, JobError, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::kit::rate::{Buckets, Rate};
use crate::app::reply::Reply;
use crate::app::route::Call;
use crate::app::{Context, Home};
use crate::base::hex::hex;
use crate::base::ids::ReqId;
use crate::base::secret::Secret;

/// Where logins are decided; no scope is called so.
pub(super) fn home() -> Home {
    Home::Tenant(ACCOUNTS.to_owned())
}

/// Whether a home is that of logins.
pub(super) fn is_home(home: &Home) -> bool {
    matches!(home, Home::Tenant(name) if name == ACCOUNTS)
}

/// The logins on their way.
pub(super) struct Accounts {
    /// Attempts by address.
    attempts: Buckets<IpAddr>,
    waiting: BTreeMap<u64, Step>,
}

/// What a job will have been about.
enum Step {
    /// The account of an e-mail was asked for.
    Found { req: ReqId, password: Secret },
    /// Whether the password is right; `None`: nobody's is.
    Verified { req: ReqId, holder: Option<Credentials> },
    /// Whom a refresh token is for.
    Renewed { req: ReqId, presented: Arc<str>, family: Arc<str> },
    /// The next refresh token is on disk, and the one before used up, if there was one.
    Issued { req: ReqId, holder: Credentials, refresh: String, family: Arc<str> },
    /// Logged out, whether there was anything to end or not.
    LoggedOut { req: ReqId },
}

/// A refresh token that somebody has brought.
struct Presented {
    /// What the store has of it.
    hash: Arc<str>,
    family: Arc<str>,
    claims: Map<String, Value>,
}

/// A call's surroundings.
struct Turn<'a, 'b> {
    cx: &'a mut Context<'b>,
    settings: &'a Settings,
    shared: &'a mut Shared,
    fx: &'a mut Effects,
}

impl Accounts {
    pub(super) fn new() -> Accounts {
        let rate = Rate::per_minute(LOGINS_PER_MINUTE).expect("it is a limit");
        Accounts { attempts: Buckets::new(rate, ADDRESSES_MAX), waiting: BTreeMap::new() }
    }

    /// Whether a job's outcome is awaited here.
    pub(super) fn awaits(&self, token: Token) -> bool {
        self.waiting.contains_key(&token.0)
    }

    /// A call that needs no token.
    pub(super) fn on_call(
        &mut self,
        cx: &mut Context<'_>,
        (settings, shared): (&Settings, &mut Shared),
        (req, call): (ReqId, &Call),
        fx: &mut Effects,
    ) {
        let mut turn = Turn { cx, settings, shared, fx };
        let outcome = match call.route.name {
            "login" => self.login(&mut turn, req, call),
            "refresh" => self.refresh(&mut turn, req, call),
            _ => {
                self.log_out(&mut turn, req, call);
                Ok(())
            }
        };
        if let Err(fail) = outcome {
            turn.refuse(req, &fail);
        }
    }

    /// A job has come back.
    pub(super) fn on_done(
        &mut self,
        cx: &mut Context<'_>,
        (settings, shared): (&Settings, &mut Shared),
        (token, outcome): (Token, &Outcome),
        fx: &mut Effects,
    ) {
        let Some(step) = self.waiting.remove(&token.0) else { return };
        let mut turn = Turn { cx, settings, shared, fx };
        match step {
            Step::Found { req, password } => self.on_found(&mut turn, req, password, outcome),
            Step::Verified { req, holder } => self.on_verified(&mut turn, req, holder, outcome),
            Step::Renewed { req, presented, family } => self.on_renewed(&mut turn, req, &presented, &family, outcome),
            Step::Issued { req, holder, refresh, family } => match outcome {
                Outcome::Written(_) => turn.grant(req, &holder, &refresh),
                // It was used up, or its family has ended: whoever brings it has it from somebody else.
                Outcome::Conflict { .. } => {
                    turn.end_family(&family);
                    turn.refuse(req, &unauthorized());
                }
                outcome => turn.refuse_outcome(req, outcome),
            },
            Step::LoggedOut { req } => turn.reply(req, done(Ok(&json!(null)), turn.cx.now.wall)),
        }
    }

    fn ask(&mut self, turn: &mut Turn<'_, '_>, job: Job, step: Step) {
        if self.waiting.len() >= WAITING_MAX {
            return turn.refuse(step.req(), &busy());
        }
        let token = turn.shared.waiting.token();
        self.waiting.insert(token.0, step);
        turn.fx.push(Effect::Job { job, token: Some(token) });
    }

    fn login(&mut self, turn: &mut Turn<'_, '_>, req: ReqId, call: &Call) -> Result<(), Fail> {
        if let Err(exceeded) = self.attempts.take(turn.cx.now.mono, &call.ip) {
            let fail = Fail::new("RATE_LIMIT_EXCEEDED", "Demasiados intentos de inicio de sesión");
            return Err(fail.with(exceeded.details(turn.cx.now)));
        }
        let body: Map<String, Value> = call.json().ok_or_else(|| wrong("body"))?;
        let text = |name| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let email = email(text("email").ok_or_else(|| wrong("email"))?).ok_or_else(|| wrong("email"))?;
        let password = Secret::new(text("password").ok_or_else(|| wrong("password"))?);
        let read = Job::Read(vec![tables::by_email(&email)]);
        self.ask(turn, read, Step::Found { req, password });
        Ok(())
    }

    /// Where nobody has that e-mail the password is held against nothing, which takes as long.
    fn on_found(&mut self, turn: &mut Turn<'_, '_>, req: ReqId, password: Secret, outcome: &Outcome) {
        match outcome.rows::<Credentials>(0) {
            Err(error) => turn.refuse_store(req, &error),
            Ok(rows) => {
                let holder = rows.into_iter().next();
                let phc = holder.as_ref().map(|holder| holder.password.to_string());
                self.ask(turn, Job::Hash(Hash::Verify { password, phc }), Step::Verified { req, holder });
            }
        }
    }

    fn on_verified(&mut self, turn: &mut Turn<'_, '_>, req: ReqId, holder: Option<Credentials>, outcome: &Outcome) {
        let is_right = match outcome {
            Outcome::Hashed(Hashed::Verified(matches)) => *matches,
            // What is no password of ours matches nothing.
            Outcome::Failed(JobError { kind: crate::app::job::JobErrorKind::Invalid, .. }) => false,
            outcome => return turn.refuse_outcome(req, outcome),
        };
        match holder.filter(|_| is_right) {
            None => turn.refuse(req, &Fail::new("INVALID_CREDENTIALS", "Email o contraseña incorrectos")),
            Some(holder) if holder.status != Account::Active => turn.refuse(req, &inactive()),
            Some(holder) => {
                let family: Arc<str> = turn.cx.rng.sid().as_str().into();
                self.issue(turn, req, holder, family, None);
            }
        }
    }

    /// A new refresh token of a family; `used` is the hash of the one that it takes the place of.
    fn issue(
        &mut self,
        turn: &mut Turn<'_, '_>,
        req: ReqId,
        holder: Credentials,
        family: Arc<str>,
        used: Option<&Arc<str>>,
    ) {
        let now = turn.cx.now.wall;
        let refresh = match turn.refresh_token(&holder, &family) {
            Ok(refresh) => refresh,
            Err(fail) => return turn.refuse(req, &fail),
        };
        let mut write: Vec<_> = used.map(|used| tables::use_up(used, now)).into_iter().collect();
        let end = crate::base::time::WallMillis(now.0 + turn.settings.refresh_token_ttl_s * 1_000);
        write.push(tables::issue(&hash_of(&refresh), &family, &holder, end));
        write.push(tables::sweep(now));
        self.ask(turn, Job::Write(write.into()), Step::Issued { req, holder, refresh, family });
    }

    fn refresh(&mut self, turn: &mut Turn<'_, '_>, req: ReqId, call: &Call) -> Result<(), Fail> {
        let Presented { hash: presented, family, claims } = turn.presented(call).ok_or_else(unauthorized)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(Arc::<str>::from);
        let (scope, user) = text("scope").zip(text("user")).ok_or_else(unauthorized)?;
        let read = Job::Read(vec![tables::by_id(&scope, &user)]);
        self.ask(turn, read, Step::Renewed { req, presented, family });
        Ok(())
    }

    fn on_renewed(
        &mut self,
        turn: &mut Turn<'_, '_>,
        req: ReqId,
        presented: &Arc<str>,
        family: &Arc<str>,
        outcome: &Outcome,
    ) {
        match outcome.rows::<Credentials>(0).map(|rows| rows.into_iter().next()) {
            Err(error) => turn.refuse_store(req, &error),
            Ok(None) => turn.refuse(req, &unauthorized()),
            Ok(Some(holder)) if holder.status != Account::Active => turn.refuse(req, &inactive()),
            Ok(Some(holder)) => self.issue(turn, req, holder, family.clone(), Some(presented)),
        }
    }

    /// Always a success: there is nothing that somebody who leaves could do about a failure.
    fn log_out(&mut self, turn: &mut Turn<'_, '_>, req: ReqId, call: &Call) {
        match turn.presented(call) {
            None => turn.reply(req, done(Ok(&json!(null)), turn.cx.now.wall)),
            Some(Presented { family, .. }) => {
                let write = Job::Write(vec![tables::end_family(&family)].into());
                self.ask(turn, write, Step::LoggedOut { req });
            }
        }
    }
}

impl Step {
    fn req(&self) -> ReqId {
        match self {
            Step::Found { req, .. }
            | Step::Verified { req, .. }
            | Step::Renewed { req, .. }
            | Step::Issued { req, .. }
            | Step::LoggedOut { req } => *req,
        }
    }
}

impl Turn<'_, '_> {
    fn reply(&mut self, req: ReqId, reply: Reply) {
        self.fx.push(Effect::Reply { req, reply });
    }

    fn refuse(&mut self, req: ReqId, fail: &Fail) {
        self.reply(req, envelope::refusal(fail, self.cx.now.wall));
    }

    fn refuse_store(&mut self, req: ReqId, error: &JobError) {
        tracing::warn!(target: "siod::utalk", error = error.text, "a login has failed");
        self.refuse(req, &busy());
    }

    fn refuse_outcome(&mut self, req: ReqId, outcome: &Outcome) {
        match outcome {
            Outcome::Failed(error) => self.refuse_store(req, error),
            _ => self.refuse(req, &busy()),
        }
    }

    /// A refresh token that is ours and has not ended.
    fn presented(&self, call: &Call) -> Option<Presented> {
        let body: Map<String, Value> = call.json()?;
        let token = body.get("refreshToken")?.as_str()?;
        let claims = self.cx.authenticator.claims(token, self.cx.now.wall).ok()?;
        let is_refresh = claims.get("type").and_then(Value::as_str) == Some(REFRESH);
        let family = claims.get("family").and_then(Value::as_str).filter(|_| is_refresh)?.into();
        Some(Presented { hash: hash_of(token), family, claims })
    }

    fn end_family(&mut self, family: &Arc<str>) {
        let job = Job::Write(vec![tables::end_family(family)].into());
        self.fx.push(Effect::Job { job, token: None });
    }

    fn refresh_token(&mut self, holder: &Credentials, family: &Arc<str>) -> Result<String, Fail> {
        let nonce = self.cx.rng.sid();
        let claims = json!({
            "type": REFRESH, "family": family, "scope": holder.scope, "user": holder.id, "nonce": nonce.as_str(),
        });
        self.mint(&holder.id, "", claims, self.settings.refresh_token_ttl_s)
    }

    fn mint(&self, sub: &str, role: &str, claims: Value, ttl_s: u64) -> Result<String, Fail> {
        let Value::Object(claims) = claims else { unreachable!("claims are an object") };
        let subject = Subject { sub, role, claims, ttl_s };
        let minted = self.cx.authenticator.mint(subject, self.cx.now.wall);
        minted.map_err(|_| Fail::new("SERVICE_UNAVAILABLE", "El servidor no puede emitir tokens (auth.jwt_secret)"))
    }

    /// Both tokens, and who has them.
    fn grant(&mut self, req: ReqId, holder: &Credentials, refresh: &str) {
        let (tenant, workspace) = scope_parts(&holder.scope);
        let claims = json!({
            "email": holder.email, "name": holder.name, "tenantId": tenant, "workspaceId": workspace,
        });
        let ttl_s = self.settings.access_token_ttl_s;
        match self.mint(&holder.id, &holder.role, claims, ttl_s) {
            Err(fail) => self.refuse(req, &fail),
            Ok(access) => {
                let user = holder.shown(&tenant, &workspace);
                let data = json!({"accessToken": access, "refreshToken": refresh, "expiresIn": ttl_s, "user": user});
                self.reply(req, done(Ok(&data), self.cx.now.wall));
            }
        }
    }
}

impl Credentials {
    fn shown(&self, tenant: &str, workspace: &str) -> Value {
        json!({
            "id": self.id,
            "email": self.email,
            "name": self.name,
            "role": self.role,
            "isActive": self.status == Account::Active,
            "workspaceId": workspace,
            "tenantId": tenant,
        })
    }
}

/// An e-mail as accounts have it: in small letters, one `@` with something on both sides, nothing that is not seen.
pub(super) fn email(text: &str) -> Option<Arc<str>> {
    let text = text.trim().to_lowercase();
    let (name, host) = text.split_once('@')?;
    let is_plain = text.chars().all(|char| !char.is_whitespace() && !char.is_control());
    let is_email = !name.is_empty() && !host.is_empty() && !host.contains('@') && text.len() <= EMAIL_BYTES_MAX;
    (is_plain && is_email).then(|| text.into())
}

/// As refused fields are told everywhere.
fn wrong(path: &str) -> Fail {
    Fail::new("VALIDATION_ERROR", format!("Datos inválidos: \"{path}\" es obligatorio")).with(json!({"path": path}))
}

fn unauthorized() -> Fail {
    Fail::new("UNAUTHORIZED", "El token de actualización no es válido")
}

/// An account that may not come in.
pub(super) fn inactive() -> Fail {
    Fail::new("USER_INACTIVE", "Tu cuenta ha sido suspendida")
}

fn busy() -> Fail {
    Fail::new("SERVICE_UNAVAILABLE", "Servicio no disponible")
}

/// What the store has of a refresh token: whoever reads the store can bring none.
fn hash_of(token: &str) -> Arc<str> {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(token.as_bytes())).into()
}

const ACCOUNTS: &str = "accounts";
const REFRESH: &str = "refresh";
/// Attempts to log in of one address.
const LOGINS_PER_MINUTE: u32 = 5;
/// Addresses whose attempts are remembered.
const ADDRESSES_MAX: usize = 65_536;
/// Calls on their way.
const WAITING_MAX: usize = 1_024;
const EMAIL_BYTES_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_in_small_letters_or_none() {
        for (text, expected) in [
            ("Ana@Example.COM", Some("ana@example.com")),
            (" ana@x ", Some("ana@x")),
            ("ana", None),
            ("@x", None),
            ("ana@", None),
            ("a@b@c", None),
            ("a b@c", None),
            ("a\0@c", None),
        ] {
            assert_eq!(email(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(email(&format!("{}@x", "a".repeat(EMAIL_BYTES_MAX))), None);
    }

    #[test]
    fn a_scope_is_never_called_as_the_home_of_logins() {
        assert!(is_home(&home()) && !is_home(&Home::Tenant(super::super::who::scope_key(ACCOUNTS, ""))));
    }
}
