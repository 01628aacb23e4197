//! `/api/shelly/device/…`: a device is switched, or asked after.

use serde_json::{Value, json};

use super::envelope::{body, says};
use super::{Answer, Ask};
use crate::app::reply::Reply;
use crate::apps::iot::command::Turned;
use crate::apps::iot::control::Wish;
use crate::apps::iot::device::Source;
use crate::apps::iot::payload::{TEXT_CHARS_MAX, optional_text};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::who::{DEVICE_NOT_FOUND, VALIDATION, fail};

/// `POST …/{id}/control`.
pub(super) fn control(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    let turned = said.get("action").and_then(Value::as_str).and_then(Turned::of);
    let turned = turned.filter(|turned| *turned != Turned::Toggle);
    let turned = turned.ok_or_else(|| says(VALIDATION, "Acción inválida. Debe ser 'on' o 'off'"))?;
    let wish = Wish { channel: 0, turned, timer_s: Wish::timer(&said, turned)? };
    let appointment = optional_text(&said, "appointmentId", TEXT_CHARS_MAX)?;
    turn.system.find(ask.id()).ok_or_else(|| fail(DEVICE_NOT_FOUND))?;
    turn.control_by_http(ask.asker.req, &ask.asker.actor, ask.id(), wish, appointment);
    Ok(None)
}

/// `GET …/{id}/status`.
pub(super) fn status(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let device = turn.system.find(ask.id()).ok_or_else(|| fail(DEVICE_NOT_FOUND))?;
    let values = device.shown();
    let source = Source::ALL.into_iter().find(|source| device.sources.has(*source)).map(Source::label);
    Ok(Some(Reply::json(
        200,
        &json!({
            "generation": device.generation,
            "deviceId": &*device.shelly_id,
            "model": &*device.model,
            "name": &*device.name,
            "online": device.online,
            "relay": {"isOn": values.relay_on, "source": source},
            "power": {
                "current": values.power, "voltage": values.voltage, "total": device.total_energy(),
                "temperature": values.temperature,
            },
            "wifi": {"connected": device.online, "rssi": device.status.rssi},
            "cloud": {"connected": device.sources.has(Source::Cloud)},
            "lastUpdate": device.last_seen_at.map(|at| at.to_string()),
        }),
    )))
}
