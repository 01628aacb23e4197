//! `/api/internal/smart-plug-devices`: the devices of a system as rows.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::envelope::{Refusal, body, gone, no_credential, number};
use super::wanted::{Storing, Then};
use super::{Answer, Ask, NAME_CHARS_MAX};
use crate::app::kit::ack::Fail;
use crate::app::kit::audit::Actor;
use crate::app::reply::Reply;
use crate::apps::iot::credential::Credential;
use crate::apps::iot::device::Device;
use crate::apps::iot::payload::{TEXT_CHARS_MAX, optional_text, text};
use crate::apps::iot::system::fresh_id;
use crate::apps::iot::tables::devices;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Dirty;
use crate::apps::iot::who::{DEVICE_EXISTS, DEVICE_NOT_FOUND, NO_ENCRYPTION_KEY, VALIDATION, fail};
use crate::apps::iot::wire::id::ShellyId;

/// `GET /api/internal/smart-plug-devices`.
pub(super) fn list(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let (page, size) = (number(ask.call, "page", 1, 1..=1_000_000)?, number(ask.call, "pageSize", 10, 1..=1_000)?);
    let credential = ask.call.query_value("credentialId").filter(|id| !id.is_empty());
    let is_listed = |device: &&Device| credential.is_none() || device.credential.as_deref() == credential.as_deref();
    let mut listed: Vec<&Device> = turn.system.devices.values().filter(is_listed).collect();
    listed.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let total = listed.len();
    let some = listed.into_iter().skip(((page - 1) * size) as usize).take(size as usize);
    let rows: Vec<Value> = some.map(|device| row(turn, device)).collect();
    let body = json!({"data": rows, "totalPages": total.div_ceil(size as usize), "totalCount": total});
    Ok(Some(Reply::json(200, &body)))
}

fn row(turn: &Turn<'_>, device: &Device) -> Value {
    let credential = device.credential.as_ref().and_then(|id| turn.system.credentials.get(id));
    device.row(&turn.system.name, credential.map_or(Value::Null, Credential::short))
}

fn row_of(turn: &Turn<'_>, id: &str) -> Value {
    turn.system.devices.get(id).map_or(Value::Null, |device| row(turn, device))
}

/// `POST /api/internal/smart-plug-devices`.
pub(super) fn claim(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    let name = text(&said, "name", NAME_CHARS_MAX)?;
    let shelly = ShellyId::parse(text(&said, "deviceId", TEXT_CHARS_MAX)?).ok_or_else(|| fail(VALIDATION))?;
    if turn.system.find(shelly.as_str()).is_some() {
        return Err(fail(DEVICE_EXISTS).into());
    }
    if turn.system.devices.len() >= turn.settings.devices_per_system_max {
        return Err(fail(VALIDATION).into());
    }
    let mut device = Device::new(fresh_id(turn.rng), shelly.as_str(), name, turn.now.wall);
    device.cloud_id = Some(shelly.decimal().into());
    if let Some(credential) = optional_text(&said, "credentialId", TEXT_CHARS_MAX)? {
        let known = turn.system.credentials.get_key_value(credential).map(|(id, _)| id.clone());
        device.credential = Some(known.ok_or_else(no_credential)?);
    }
    set_address(turn, &mut device, &said)?;
    let (write, then) = (vec![devices::add(&turn.system.name, &device)], Then::Claimed(Box::new(device)));
    let (req, path, actor) = (ask.asker.req, ask.call.route.path, ask.asker.actor.clone());
    turn.store_for(write, Storing { req, path, actor, then })?;
    Ok(None)
}

/// Where we dial it, and by which password, as far as that is said.
fn set_address(turn: &mut Turn<'_>, device: &mut Device, said: &Map<String, Value>) -> Result<(), Refusal> {
    if said.contains_key("deviceIp") {
        let ip = optional_text(said, "deviceIp", TEXT_CHARS_MAX)?;
        if ip.is_some_and(|ip| !is_address(ip)) {
            return Err(fail(VALIDATION).into());
        }
        device.extra_mut().ip = ip.map(Into::into);
    }
    if said.contains_key("localPassword") {
        let password = optional_text(said, "localPassword", TEXT_CHARS_MAX)?;
        let seal = |password: &str| turn.shared.keyring.seal(&device.id, password, turn.rng);
        let sealed = match password.map(seal) {
            Some(None) => return Err(fail(NO_ENCRYPTION_KEY).into()),
            sealed => sealed.flatten(),
        };
        device.extra_mut().password = sealed.map(String::into_boxed_str);
    }
    Ok(())
}

/// A host, and a port behind it or none.
fn is_address(text: &str) -> bool {
    let url = url::Url::parse(&format!("http://{text}/"));
    url.is_ok_and(|url| url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.host().is_some())
}

/// A device is this system's.
pub(super) fn claimed(turn: &mut Turn<'_>, actor: &Actor, device: Device) -> Reply {
    if turn.system.find(&device.shelly_id).is_some() {
        // It has come by another way meanwhile, as another row.
        turn.save(devices::delete(&turn.system.name.clone(), &device.id));
        return super::refuse("", &fail(DEVICE_EXISTS).into());
    }
    let id = turn.system.insert(device);
    turn.audit(actor, "device-claim", &id, "success", &Value::Null);
    turn.take_held(&id);
    turn.device_claimed(&id);
    turn.dial_device(&id);
    Reply::json(201, &row_of(turn, &id))
}

/// `PATCH …/{id}`.
pub(super) fn amend(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    let found = turn.system.find(ask.id()).ok_or_else(|| fail(DEVICE_NOT_FOUND))?;
    let (id, before) = (found.id.clone(), found.assignment_id().map(str::to_owned));
    let mut device = found.clone();
    change(&mut device, &said)?;
    set_address(turn, &mut device, &said)?;
    device.updated_at = turn.now.wall;
    let is_named = device.name != found_name(turn, &id);
    let is_assigned = device.assignment_id().is_some() && device.assignment_id() != before.as_deref();
    let (is_moved, is_keyed) = (said.contains_key("deviceIp"), said.contains_key("localPassword"));
    turn.system.devices.insert(id.clone(), device);
    turn.touch(Dirty::Device(id.clone()));
    if is_named {
        turn.tell(&id, "manual");
    }
    if is_assigned {
        tell_assignment(turn, &id);
    }
    if is_moved {
        turn.dial_device(&id);
    }
    if is_keyed {
        turn.password_changed(&id);
    }
    let keys: Vec<&String> = said.keys().collect();
    turn.audit(&ask.asker.actor, "device-amend", &id, "success", &json!({ "fields": keys }));
    Ok(Some(Reply::json(200, &row_of(turn, &id))))
}

fn found_name(turn: &Turn<'_>, id: &str) -> Box<str> {
    turn.system.devices.get(id).map(|device| device.name.clone()).unwrap_or_default()
}

fn change(device: &mut Device, said: &Map<String, Value>) -> Result<(), Fail> {
    if said.contains_key("name") {
        device.name = text(said, "name", NAME_CHARS_MAX)?.into();
    }
    if said.contains_key("clinicId") {
        device.extra_mut().clinic_id = optional_text(said, "clinicId", TEXT_CHARS_MAX)?.map(Into::into);
    }
    if said.contains_key(ASSIGNMENT_ID) {
        device.extra_mut().assignment_id = optional_text(said, ASSIGNMENT_ID, TEXT_CHARS_MAX)?.map(Into::into);
    }
    match said.get("equipmentClinicAssignment") {
        None => {}
        Some(Value::Null) => device.extra_mut().assignment = None,
        Some(assignment @ Value::Object(_)) => device.extra_mut().assignment = Some(assignment.to_string().into()),
        Some(_) => return Err(fail(VALIDATION)),
    }
    match said.get("excludeFromSync") {
        None => {}
        Some(Value::Bool(exclude)) => device.exclude_from_sync = *exclude,
        Some(_) => return Err(fail(VALIDATION)),
    }
    match said.get("powerThreshold") {
        None => {}
        Some(Value::Null) => device.extra_mut().power_threshold = None,
        Some(watts) => {
            let watts = watts.as_f64().filter(|watts| *watts >= 0.0).ok_or_else(|| fail(VALIDATION))?;
            device.extra_mut().power_threshold = Some(watts);
        }
    }
    Ok(())
}

/// `smart-plug-assignment-updated`.
fn tell_assignment(turn: &mut Turn<'_>, id: &Arc<str>) {
    let Some(device) = turn.system.devices.get(id) else { return };
    let assignment = device.assignment();
    let clinic = device.extra.as_deref().and_then(|extra| extra.clinic_id.as_deref());
    let clinic = clinic.or_else(|| assignment["clinicId"].as_str());
    let mut event = json!({
        "type": ASSIGNED,
        "deviceId": device.id,
        "deviceName": &*device.name,
        "systemId": &*turn.system.name,
        ASSIGNMENT_ID: device.assignment_id(),
        "clinicId": clinic,
    });
    for (key, name) in
        [("equipmentName", &assignment["equipment"]["name"]), ("clinicName", &assignment["clinic"]["name"])]
    {
        let said = assignment[key].as_str().or_else(|| name.as_str());
        said.into_iter().for_each(|said| event[key] = json!(said));
    }
    event["timestamp"] = json!(turn.now.wall.to_string());
    turn.tell_room(ASSIGNED, &event);
}

/// `DELETE …/{id}`.
pub(super) fn drop_device(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let id = turn.system.find(ask.id()).ok_or_else(|| fail(DEVICE_NOT_FOUND))?.id.clone();
    let write = vec![devices::delete(&turn.system.name, &id)];
    let (req, path, actor) = (ask.asker.req, ask.call.route.path, ask.asker.actor.clone());
    turn.store_for(write, Storing { req, path, actor, then: Then::Dropped(id) })?;
    Ok(None)
}

/// A device is nobody's any more.
pub(super) fn dropped(turn: &mut Turn<'_>, actor: &Actor, id: &Arc<str>) -> Reply {
    turn.lose_all(id, "manual_stop");
    turn.system.remove(id);
    // What is not there is not dialled.
    turn.dial_device(id);
    turn.audit(actor, "device-drop", id, "success", &Value::Null);
    gone("Dispositivo eliminado correctamente")
}

/// `POST …/{id}/toggle-appointment-only`.
pub(super) fn appointment_only(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    set(turn, ask, "appointmentOnlyMode", |device, on| device.appointment_only = on)
}

/// `POST …/{id}/toggle-auto-shutdown`.
pub(super) fn auto_shutdown(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    set(turn, ask, "autoShutdownEnabled", |device, on| device.auto_shutdown = on)
}

fn set(turn: &mut Turn<'_>, ask: &Ask<'_>, field: &str, change: fn(&mut Device, bool)) -> Answer {
    let said = body(ask.call)?;
    let now = turn.now.wall;
    let device = turn.system.find_mut(ask.id()).ok_or_else(|| fail(DEVICE_NOT_FOUND))?;
    let on = said.get(field).and_then(Value::as_bool).ok_or_else(|| fail(VALIDATION))?;
    change(device, on);
    device.updated_at = now;
    let id = device.id.clone();
    turn.touch(Dirty::Device(id.clone()));
    turn.audit(&ask.asker.actor, "device-amend", &id, "success", &json!({ field: on }));
    Ok(Some(Reply::json(200, &json!({"success": true, field: on}))))
}

const ASSIGNED: &str = "smart-plug-assignment-updated";
const ASSIGNMENT_ID: &str = "equipmentClinicAssignmentId";
