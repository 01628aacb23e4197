//! Routes about people of a scope: who somebody is, who else there is, new accounts, and those who may not come in any more.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::page::Page;
use super::wants::Accounting;
use crate::app::hash::{Hash, Hashed};
use crate::app::job::{Job, JobErrorKind, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::{self, Actor, Entry};
use crate::app::route::Call;
use crate::app::settings::Word as _;
use crate::apps::utalk::accounts;
use crate::apps::utalk::payload::{Fields, Why};
use crate::apps::utalk::rules;
use crate::apps::utalk::tables::accounts as tables;
use crate::apps::utalk::turn::Turn;
use crate::apps::utalk::user::{Account, Presence, User};
use crate::apps::utalk::who::{Asker, ROLES, Role, Who, scope_parts};
use crate::apps::utalk::wish::Wait;
use crate::base::secret::Secret;

impl Turn<'_> {
    /// `GET /api/users/me` and `/api/auth/profile`.
    pub(super) fn me(&mut self, asker: &Asker, call: &Call, wrapped: bool) {
        let name = call.identity.as_ref().and_then(|identity| identity.name());
        let user = match self.scope.users.get(&asker.who.user) {
            Some(user) => self.shown_user(user),
            None => self.shown_who(&asker.who, name),
        };
        let data = if wrapped { json!({"user": user}) } else { user };
        self.answer(asker, "", &data);
    }

    fn shown_user(&self, user: &User) -> Value {
        let (tenant, workspace) = scope_parts(&self.scope.key);
        json!({
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "isActive": user.status == Account::Active,
            "workspaceId": workspace,
            "tenantId": tenant,
        })
    }

    fn shown_who(&self, who: &Who, name: Option<&str>) -> Value {
        let (tenant, workspace) = scope_parts(&self.scope.key);
        json!({
            "id": who.user,
            "email": who.email,
            "name": name,
            "role": who.role.word(),
            "isActive": true,
            "workspaceId": workspace,
            "tenantId": tenant,
        })
    }

    /// `GET /api/team`: the newest first.
    pub(super) fn team(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        let list = format!("team/{}", self.scope.key);
        let page = Page::<2>::of(call, &list)?;
        let beyond = page.place.map(|[at, key]| Reverse((at, key)));
        // Of all that are beyond the cursor, the first few: kept while they are looked through.
        let mut first: BTreeSet<(Newest, &Arc<str>)> = BTreeSet::new();
        for user in self.scope.users.values() {
            let place = Reverse((user.created_at.0, rules::key(&[&user.id])));
            if beyond.is_some_and(|beyond| place <= beyond) {
                continue;
            }
            first.insert((place, &user.id));
            if first.len() > page.limit + 1 {
                first.pop_last();
            }
        }
        let shown = |id: &Arc<str>| {
            let user = &self.scope.users[id];
            let mut shown = self.shown_user(user);
            shown["isOnline"] = json!(self.scope.seen_as(id) != Presence::Offline);
            shown
        };
        let has_more = first.len() > page.limit;
        let users: Vec<Value> = first.iter().take(page.limit).map(|(_, id)| shown(id)).collect();
        let last = first.iter().take(page.limit).next_back().map(|(Reverse((at, key)), _)| [*at, *key]);
        let pagination = page.pagination(last.filter(|_| has_more), self.scope.users.len() as u64);
        self.answer(asker, "", &json!({"users": users, "pagination": pagination}));
        Ok(())
    }

    /// `POST /api/auth/create-user`: an account of this scope.
    pub(super) fn create_user(&mut self, asker: &Asker, call: &Call, body: Map<String, Value>) -> Result<(), Fail> {
        let fields = Fields::new("create-user", body);
        let email = fields.filled("email", usize::MAX)?;
        let email = accounts::email(&email).ok_or_else(|| fields.wrong("email", Why::Invalid))?;
        let password = fields.filled("password", PASSWORD_CHARS_MAX)?;
        let name = fields.filled("name", NAME_CHARS_MAX)?;
        let role = match fields.text("role", NAME_CHARS_MAX)? {
            None => Role::Agent,
            Some(word) => {
                let known = ROLES.words.iter().find(|(known, _)| *known == &*word);
                known.map(|(_, role)| *role).ok_or_else(|| fields.wrong("role", Why::Invalid))?
            }
        };
        let mut id = "user_".to_owned();
        let change = crate::apps::utalk::scope::change_at(self.now.wall) | (self.rng.u64() & 0xFFFF);
        rules::uuid_v7(change, self.rng, &mut id);
        let user = User {
            id: id.into(),
            email: Some(email),
            name: Some(name),
            role: role.word().into(),
            status: Account::Active,
            chosen: Presence::Online,
            created_at: self.now.wall,
            last_seen: None,
            is_stored: true,
        };
        let hash = Hash::Make { password: Secret::new(&*password) };
        let details = json!({"email": user.email, "role": user.role});
        let log = self.log_of(asker, call, "create_user", &user.id).details(&details);
        let hashing = Accounting::Hashing { asker: asker.clone(), user, log };
        self.ask(Job::Hash(hash), Wait::Account(Box::new(hashing)));
        Ok(())
    }

    /// `PUT /api/users/{id}/status`: somebody comes in again, or may not any more.
    pub(super) fn set_status(&mut self, asker: &Asker, call: &Call, body: Map<String, Value>) -> Result<(), Fail> {
        let fields = Fields::new("status", body);
        let status = fields.word("status")?.ok_or_else(|| fields.wrong("status", Why::Missing))?;
        let Some(user) = self.user_of(call.param("id")) else {
            return Err(Fail::new("USER_NOT_FOUND", "El usuario no existe"));
        };
        let mut write = vec![tables::set_status(&self.scope.key, &user, status)];
        if status != Account::Active {
            write.push(tables::end_of_user(&self.scope.key, &user));
        }
        let log = self.log_of(asker, call, "set_status", &user).details(&json!({"status": status.word()}));
        write.extend([log.add(), audit::trim(audit::ROWS_MAX)]);
        let wait = Accounting::Status { asker: asker.clone(), user, status };
        self.write(write, Wait::Account(Box::new(wait)));
        Ok(())
    }

    /// What is kept of a change of an account: who has made it, from where, of whom.
    fn log_of(&self, asker: &Asker, call: &Call, action: &str, user: &str) -> Entry {
        let (sub, ip) = (asker.who.user.to_string(), call.ip.to_string());
        let actor = Actor { sub, ip, user_agent: call.user_agent.clone() };
        Entry::new(self.now.wall, LOG, &actor, action, &format!("{}/{user}", self.scope.key))
    }

    /// A user of the scope by id, or by e-mail.
    pub(in crate::apps::utalk) fn user_of(&self, name: &str) -> Option<Arc<str>> {
        if let Some((id, _)) = self.scope.users.get_key_value(name) {
            return Some(id.clone());
        }
        let has_email = |user: &&User| user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(name));
        self.scope.users.values().filter(has_email).map(|user| user.id.clone()).next()
    }

    /// What came of an account.
    pub(in crate::apps::utalk) fn on_accounting(&mut self, accounting: Accounting, outcome: &Outcome) {
        match (accounting, outcome) {
            (Accounting::Hashing { asker, user, log }, Outcome::Hashed(Hashed::Made(phc))) => {
                let create = tables::create(&self.scope.key, &user, &phc.as_str().into());
                let write = vec![create, log.add(), audit::trim(audit::ROWS_MAX)];
                self.write(write, Wait::Account(Box::new(Accounting::Creating { asker, user })));
            }
            (Accounting::Hashing { asker, .. }, Outcome::Failed(error)) if error.kind == JobErrorKind::Busy => {
                self.refuse(&asker, &crate::apps::utalk::perform::busy());
            }
            (Accounting::Creating { asker, user }, Outcome::Written(_)) => {
                let shown = self.shown_user(&user);
                self.scope.users.insert(user.id.clone(), user);
                self.answer(&asker, "", &shown);
            }
            (Accounting::Creating { asker, .. }, Outcome::Conflict { .. }) => {
                self.refuse(&asker, &Fail::new("USER_ALREADY_EXISTS", "Ya existe un usuario con ese email"));
            }
            (Accounting::Status { asker, user, status }, Outcome::Written(_)) => {
                self.has_status(&asker, &user, status);
            }
            (
                Accounting::Hashing { asker, .. }
                | Accounting::Creating { asker, .. }
                | Accounting::Status { asker, .. },
                outcome,
            ) => {
                let fail = self.store_failed(&failure_of(outcome));
                self.refuse(&asker, &fail);
            }
        }
    }

    fn has_status(&mut self, asker: &Asker, id: &Arc<str>, status: Account) {
        let Some(user) = self.scope.users.get_mut(id) else { return };
        user.status = status;
        let shown = user.clone();
        let mut shown = self.shown_user(&shown);
        shown["status"] = json!(status.word());
        self.answer(asker, "", &shown);
        if status != Account::Active {
            self.expel(id);
        }
    }
}

/// When somebody came to be, and a number of its own, the newest first.
type Newest = Reverse<(u64, u64)>;

/// Why a job has not done what was asked.
pub(in crate::apps::utalk) fn failure_of(outcome: &Outcome) -> crate::app::job::JobError {
    match outcome {
        Outcome::Failed(error) => error.clone(),
        _ => crate::app::job::JobError::new(JobErrorKind::Unavailable, "an answer to something else"),
    }
}

/// A password has at most so many characters, each of up to four bytes, within what can be hashed.
const PASSWORD_CHARS_MAX: usize = crate::base::limit::HASH_PASSWORD_BYTES_MAX / 4;
const NAME_CHARS_MAX: usize = 120;
/// Ours among the entries of the log.
pub(in crate::apps::utalk) const LOG: &str = "utalk";
