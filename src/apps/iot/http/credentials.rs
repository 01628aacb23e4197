//! `/api/shelly/credentials` and what is done with one account.

use std::sync::Arc;

use serde_json::{Value, json};

use super::envelope::{Refusal, gone, no_credential, says};
use super::wanted::{Storing, Then};
use super::{Answer, Ask};
use crate::app::kit::audit::Actor;
use crate::app::reply::Reply;
use crate::apps::iot::cloud::asked::{Action, Asked, Form, Joining, Proof};
use crate::apps::iot::credential::Credential;
use crate::apps::iot::tables::{connections, credentials};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Dirty;
use crate::apps::iot::who::{FORBIDDEN, VALIDATION};
use crate::base::secret::Secret;

/// `GET /api/shelly/credentials`.
pub(super) fn list(turn: &mut Turn<'_>, _: &Ask<'_>) -> Answer {
    Ok(Some(Reply::json(200, &rows(turn))))
}

fn rows(turn: &Turn<'_>) -> Vec<Value> {
    let row = |credential: &Credential| credential.row(turn.system.of_credential(&credential.id));
    turn.system.credentials.values().map(row).collect()
}

/// `GET /api/internal/shelly/active-credentials`.
pub(super) fn active(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let asked = ask.call.query_value("systemId").filter(|system| !system.is_empty());
    let asked = asked.ok_or_else(|| says(VALIDATION, "systemId requerido"))?;
    if *asked != *turn.system.name {
        return Err(says(FORBIDDEN, "Acceso denegado"));
    }
    let good = turn.system.credentials.values().filter(|credential| credential.is_good());
    let good: Vec<Value> = good.map(|credential| credential.row(turn.system.of_credential(&credential.id))).collect();
    Ok(Some(Reply::json(
        200,
        &json!({
            "hasActiveCredentials": !good.is_empty(), "moduleActive": true, "activeCredentialsCount": good.len(),
            "credentials": good,
        }),
    )))
}

/// The connection of a credential.
///
/// # Errors
/// Where there is no such credential.
pub(super) fn connection_of(turn: &mut Turn<'_>, credential: &str) -> Result<Arc<str>, Refusal> {
    let found = turn.system.credentials.get_key_value(credential).map(|(id, _)| id.clone());
    let id = found.ok_or_else(no_credential)?;
    turn.system.of_credential(&id).map(|connection| connection.id.clone()).ok_or_else(no_credential)
}

fn act(turn: &mut Turn<'_>, ask: &Ask<'_>, action: Action) -> Answer {
    let id = connection_of(turn, ask.id())?;
    turn.act_on(&ask.asker, &id, action, Form::Credential)
}

/// `POST /api/shelly/credentials/{id}/reconnect`.
pub(super) fn reconnect(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    act(turn, ask, Action::RefreshToken)
}

/// `POST /api/shelly/credentials/{id}/connect-websocket`.
pub(super) fn start(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    act(turn, ask, Action::Start)
}

/// `POST /api/shelly/credentials/{id}/disconnect-websocket`.
pub(super) fn stop(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    act(turn, ask, Action::Stop)
}

/// `POST /api/shelly/connect`.
pub(super) fn connect(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = super::envelope::body(ask.call)?;
    let missing = || says(VALIDATION, "Todos los campos son requeridos");
    let given = |key: &str| {
        let text = said.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.filter(|text| text.len() <= FIELD_BYTES_MAX).map(str::to_owned)
    };
    let name = given("name").ok_or_else(missing)?;
    let proof = match (given("password"), given("code"), given("apiHost"), given("authKey")) {
        (Some(password), ..) => Proof::Password(Secret::new(password)),
        (None, Some(code), ..) => Proof::Code(Secret::new(code)),
        (None, None, Some(host), Some(key)) => Proof::Key { host, key: Secret::new(key) },
        _ => return Err(missing()),
    };
    let email = given("email").unwrap_or_default();
    if matches!(proof, Proof::Password(_)) && email.is_empty() {
        return Err(missing());
    }
    let credential = match given("credentialId") {
        Some(id) => Some(turn.system.credentials.get_key_value(&*id).ok_or_else(no_credential)?.0.clone()),
        None => None,
    };
    turn.needs_store()?;
    let by = Asked { actor: ask.asker.actor.clone(), req: ask.asker.req, form: Form::Credential };
    turn.join_account(Joining { by, name, email, proof, credential });
    Ok(None)
}

/// Of one field of an account.
const FIELD_BYTES_MAX: usize = 8_192;

/// `POST /api/shelly/sync/{credentialId}`.
pub(super) fn sync(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let found = turn.system.credentials.get_key_value(ask.id()).map(|(id, _)| id.clone());
    let id = found.ok_or_else(no_credential)?;
    turn.needs_store()?;
    turn.audit(&ask.asker.actor, "sync", &id, "asked", &Value::Null);
    turn.sync_account(&id, ask.asker.req);
    Ok(None)
}

/// `DELETE /api/shelly/credentials/{id}`.
pub(super) fn drop_credential(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let found = turn.system.credentials.get_key_value(ask.id()).map(|(id, _)| id.clone());
    let id = found.ok_or_else(no_credential)?;
    let system = turn.system.name.clone();
    let mut write = vec![credentials::delete(&system, &id)];
    write.extend(turn.system.of_credential(&id).map(|connection| connections::delete(&system, &connection.id)));
    let (req, path, actor) = (ask.asker.req, ask.call.route.path, ask.asker.actor.clone());
    turn.store_for(write, Storing { req, path, actor, then: Then::CredentialDropped(id) })?;
    Ok(None)
}

/// An account is gone: its socket closes, its devices stay without it.
pub(super) fn dropped(turn: &mut Turn<'_>, actor: &Actor, id: &Arc<str>) -> Reply {
    let is_its = |device: &&crate::apps::iot::device::Device| device.credential.as_ref() == Some(id);
    let its: Vec<Arc<str>> = turn.system.devices.values().filter(is_its).map(|device| device.id.clone()).collect();
    turn.leave_account(id);
    if let Some(connection) = turn.system.of_credential(id).map(|connection| connection.id.clone()) {
        turn.system.connections.remove(&connection);
    }
    turn.system.credentials.remove(id);
    its.into_iter().for_each(|device| turn.touch(Dirty::Device(device)));
    turn.audit(actor, "credential-drop", id, "success", &Value::Null);
    gone("Credenciales eliminadas correctamente")
}
