//! Statements about devices.

use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::apps::iot::device::{Device, Extra};
use crate::apps::iot::wire::meter::Meter;
use crate::apps::iot::wire::status::Channel;

impl FromRow for Device {
    const TABLE: &'static str = "iot_devices";
    fn from_row(row: &mut Row<'_>) -> Result<Device, RowError> {
        let (id, shelly, name): (_, String, String) = (row.get("id")?, row.get("deviceId")?, row.get("name")?);
        let mut device = Device::new(id, &shelly, &name, row.get("createdAt")?);
        device.credential = row.get("credentialId")?;
        device.cloud_id = boxed(row, "cloudId")?;
        device.kind = row.get::<String>("type")?.into();
        device.model = row.get::<String>("modelCode")?.into();
        device.generation = row.get::<u32>("generation")?.try_into().unwrap_or(u8::MAX);
        device.firmware = boxed(row, "firmwareVersion")?;
        device.status.has_update = row.get::<bool>("hasUpdate")?.then_some(true);
        device.online = row.get("online")?;
        device.last_seen_at = row.get("lastSeenAt")?;
        device.last_connect_at = row.get("lastConnectAt")?;
        device.last_disconnect_at = row.get("lastDisconnectAt")?;
        device.last_activity_at = row.get("lastActivityAt")?;
        let energy = Meter { base: row.get("energyBase")?, last: row.get("energyLast")? };
        let mut top = Channel { energy, ..Channel::default() };
        if device.online {
            top.is_on = row.get("relayOn")?;
            top.power_w = row.get("currentPower")?;
            top.voltage = row.get("voltage")?;
            device.status.temperature = row.get("temperature")?;
            device.known = top.is_on.is_some();
        }
        if top != Channel::default() {
            *device.status.channel_mut(0) = top;
        }
        device.status.rssi = row.get::<Option<i64>>("wifiRssi")?.and_then(|rssi| rssi.try_into().ok());
        device.appointment_only = row.get("appointmentOnlyMode")?;
        device.auto_shutdown = row.get("autoShutdownEnabled")?;
        device.exclude_from_sync = row.get("excludeFromSync")?;
        device.updated_at = row.get("updatedAt")?;
        let extra = Extra {
            ip: boxed(row, "deviceIp")?,
            password: boxed(row, "localPassword")?,
            clinic_id: boxed(row, "clinicId")?,
            assignment_id: boxed(row, "equipmentClinicAssignmentId")?,
            assignment: boxed(row, "equipmentClinicAssignment")?,
            power_threshold: row.get("powerThreshold")?,
        };
        device.extra = (extra != Extra::default()).then(|| Box::new(extra));
        Ok(device)
    }
}

fn boxed(row: &mut Row<'_>, column: &'static str) -> Result<Option<Box<str>>, RowError> {
    Ok(row.get::<Option<String>>(column)?.map(String::into_boxed_str))
}

/// A new device. Another of its system with the same id makes the whole write fail.
pub(crate) fn add(system: &str, device: &Device) -> Statement {
    bound(ADD, system, device)
}

/// A device as it stands now, which may be new.
pub(crate) fn put(system: &str, device: &Device) -> Statement {
    bound(PUT, system, device)
}

fn bound(sql: &'static str, system: &str, device: &Device) -> Statement {
    let none = Extra::default();
    let extra = device.extra.as_deref().unwrap_or(&none);
    let (values, energy) = (device.shown(), device.status.top().energy);
    let statement = Statement::new(sql).bind(&device.id).bind(system).bind(device.credential.as_ref());
    let statement = statement.bind(&*device.shelly_id).bind(device.cloud_id.as_deref()).bind(extra.ip.as_deref());
    let statement = statement.bind(extra.password.as_deref()).bind(&*device.name).bind(&*device.kind);
    let statement = statement.bind(u32::from(device.generation)).bind(&*device.model).bind(device.firmware.as_deref());
    let statement =
        statement.bind(device.status.has_update.unwrap_or(false)).bind(device.online).bind(device.last_seen_at);
    let statement =
        statement.bind(device.last_connect_at).bind(device.last_disconnect_at).bind(device.last_activity_at);
    let statement = statement.bind(values.relay_on).bind(values.power).bind(values.voltage).bind(values.temperature);
    let statement = statement.bind(device.total_energy()).bind(energy.base).bind(energy.last);
    let statement = statement.bind(device.status.rssi.map(i64::from)).bind(extra.power_threshold);
    let statement = statement.bind(device.appointment_only).bind(device.auto_shutdown).bind(device.exclude_from_sync);
    let statement = statement.bind(extra.clinic_id.as_deref()).bind(extra.assignment_id.as_deref());
    statement.bind(extra.assignment.as_deref()).bind(device.created_at).bind(device.updated_at)
}

/// It goes.
pub(crate) fn delete(system: &str, id: &str) -> Statement {
    Statement::new(DELETE).bind(system).bind(id)
}

/// All of a system.
pub(crate) const OF_SYSTEM: &str = "
SELECT id, deviceId, name, createdAt, credentialId, cloudId, type, modelCode, generation, firmwareVersion, hasUpdate, online,
    lastSeenAt, lastConnectAt, lastDisconnectAt, lastActivityAt, relayOn, currentPower, voltage, temperature, energyBase, energyLast,
    wifiRssi, appointmentOnlyMode, autoShutdownEnabled, excludeFromSync, updatedAt, deviceIp, localPassword, clinicId,
    equipmentClinicAssignmentId, equipmentClinicAssignment, powerThreshold
FROM iot_devices WHERE systemId = ?1 ORDER BY id LIMIT 100000";

/// See [`add`].
pub(crate) const ADD: &str = "
INSERT INTO iot_devices (id, systemId, credentialId, deviceId, cloudId, deviceIp, localPassword, name, type, generation, modelCode,
    firmwareVersion, hasUpdate, online, lastSeenAt, lastConnectAt, lastDisconnectAt, lastActivityAt, relayOn, currentPower, voltage,
    temperature, totalEnergy, energyBase, energyLast, wifiRssi, powerThreshold, appointmentOnlyMode, autoShutdownEnabled,
    excludeFromSync, clinicId, equipmentClinicAssignmentId, equipmentClinicAssignment, createdAt, updatedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27,
    ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35)";

/// See [`put`].
pub(crate) const PUT: &str = "
INSERT INTO iot_devices (id, systemId, credentialId, deviceId, cloudId, deviceIp, localPassword, name, type, generation, modelCode,
    firmwareVersion, hasUpdate, online, lastSeenAt, lastConnectAt, lastDisconnectAt, lastActivityAt, relayOn, currentPower, voltage,
    temperature, totalEnergy, energyBase, energyLast, wifiRssi, powerThreshold, appointmentOnlyMode, autoShutdownEnabled,
    excludeFromSync, clinicId, equipmentClinicAssignmentId, equipmentClinicAssignment, createdAt, updatedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27,
    ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35)
ON CONFLICT (id) DO UPDATE SET
    credentialId = excluded.credentialId, deviceId = excluded.deviceId, cloudId = excluded.cloudId,
    deviceIp = excluded.deviceIp, localPassword = excluded.localPassword, name = excluded.name, type = excluded.type,
    generation = excluded.generation, modelCode = excluded.modelCode, firmwareVersion = excluded.firmwareVersion,
    hasUpdate = excluded.hasUpdate, online = excluded.online, lastSeenAt = excluded.lastSeenAt,
    lastConnectAt = excluded.lastConnectAt, lastDisconnectAt = excluded.lastDisconnectAt,
    lastActivityAt = excluded.lastActivityAt, relayOn = excluded.relayOn, currentPower = excluded.currentPower,
    voltage = excluded.voltage, temperature = excluded.temperature, totalEnergy = excluded.totalEnergy,
    energyBase = excluded.energyBase, energyLast = excluded.energyLast, wifiRssi = excluded.wifiRssi,
    powerThreshold = excluded.powerThreshold, appointmentOnlyMode = excluded.appointmentOnlyMode,
    autoShutdownEnabled = excluded.autoShutdownEnabled, excludeFromSync = excluded.excludeFromSync,
    clinicId = excluded.clinicId, equipmentClinicAssignmentId = excluded.equipmentClinicAssignmentId,
    equipmentClinicAssignment = excluded.equipmentClinicAssignment, updatedAt = excluded.updatedAt";

/// See [`delete`].
pub(crate) const DELETE: &str = "DELETE FROM iot_devices WHERE systemId = ?1 AND id = ?2";
