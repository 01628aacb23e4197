// signage beside players as they really are, on real sockets: a program that behaves as the player in use, legacy clients, devices that
// are paired, and an admin who watches.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { daemonOnly } from "./lib/daemon.mjs";
import { Fleet, SETTINGS, endRunning, of, register, settled } from "./lib/fleet.mjs";
import { Player } from "./lib/player.mjs";
import { relay } from "./lib/relay.mjs";
import { connected, once, refusal } from "./lib/socketio.mjs";
import { sleep, until } from "./lib/wait.mjs";

const EXTRA = `${SETTINGS}
extra_commands = ["sync:updateConfig", "sync:restart"]
aux_command_grace_ms = 300`;

afterEach(endRunning);

/** The state as an admin's page has put it together. */
function page(admin, deviceId) {
  const merge = (base, patch) => {
    if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
    const merged = base !== null && typeof base === "object" && !Array.isArray(base) ? { ...base } : {};
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) delete merged[key];
      else merged[key] = merge(merged[key], value);
    }
    return merged;
  };
  return admin.record.of("state:updated", of(deviceId)).reduce((state, told) => (told.full ? told.state : merge(state, told.changes)), {});
}

async function player(fleet, deviceId = "p1") {
  return new Player(fleet, deviceId, await fleet.token(deviceId));
}

describe("players", { skip: daemonOnly }, () => {
  for (const monitorFirst of [false, true]) {
    test(`11. the real player, ${monitorFirst ? "its monitor" : "its own socket"} first`, async () => {
      const fleet = await Fleet.start(EXTRA);
      const admin = await fleet.admin();
      const p1 = await player(fleet);
      if (monitorFirst) {
        await connected(p1.connectMonitor());
        p1.changes({ volume: 200 });
        await until("what the monitor says", () => page(admin, "p1").vlc?.volume === 200);
        assert.equal(admin.record.of("state:updated")[0].online, false, "it is no presence");
      }
      const started = Date.now();
      await connected(p1.connectMain());
      if (!monitorFirst) await connected(p1.connectMonitor());
      await until("the whole state", () => page(admin, "p1").system?.hostname === "lobby", 2_000);
      assert.ok(Date.now() - started < 2_000);
      assert.equal(p1.asked, 1, "without any push");
      p1.changes({ playing: true, stopped: false });
      await until("it plays", () => page(admin, "p1").vlc.playing === true);
      assert.deepEqual(page(admin, "p1").vlc, p1.vlc, "the section is exactly what the monitor says");
      await settled(p1.main, admin);
      assert.equal(admin.record.of("device:connected").length, 1);
      assert.ok(p1.main.connected && p1.monitor.connected);
      assert.equal(await fleet.metric(/^sg_aux_sockets /), 1);

      p1.monitor.disconnect();
      await settled(p1.main, admin);
      assert.deepEqual(admin.record.of("device:disconnected"), []);
      const replaced = once(p1.main, "player:replaced");
      const other = p1.connectMonitor();
      await connected(other);
      await register(other, "p1");
      await replaced;
      assert.deepEqual(admin.record.of("device:disconnected"), []);
    });
  }

  test("12. what is volatile is told with what is not", async () => {
    const fleet = await Fleet.start("state_interval_ms = 60000\nstate_request_interval_ms = 100");
    const admin = await fleet.admin();
    const p1 = await player(fleet);
    await connected(p1.connectMain());
    await connected(p1.connectMonitor());
    await admin.record.next("state:updated", of("p1"));
    const [asked, uptime] = [p1.asked, p1.uptime];
    await until("it was asked again and again", () => p1.asked > asked + 4);
    assert.deepEqual(admin.record.of("state:updated"), [], "only clock, uptime, memory and load have changed");
    p1.changes({ playing: true });
    const told = await admin.record.next("state:updated", of("p1"));
    assert.equal(told.changes.vlc.playing, true, "at once: anything else would wait for a minute");
    assert.ok(told.changes.system.uptime > uptime, "one patch carries both");
  });

  test("13. snapshots that are paths", async () => {
    const fleet = await Fleet.start(EXTRA);
    const admin = await fleet.admin();
    const p1 = await player(fleet);
    await connected(p1.connectMain());
    await admin.record.next("state:updated", of("p1"));
    admin.emit("player:command", { deviceId: "p1", command: "vlc:snapshot" });
    const { status, result } = await admin.record.next("command:response");
    assert.equal(status, "success");
    assert.deepEqual(result, { success: true, snapshotPath: p1.snapshot.url, fileName: "snapshot.jpg", snapshot: p1.snapshot, playerUrl: "http://127.0.0.1:3123/snapshots/snapshot.jpg" });

    const before = Date.now();
    admin.emit("device:snapshot", { deviceId: "p1" });
    const first = await admin.record.next("device:snapshot");
    assert.equal(first.requested, true);
    assert.ok(Date.now() - before < 1_000, "at once");
    const second = await admin.record.next("device:snapshot", undefined, 5_000);
    assert.equal(second.requested, false);
    assert.notEqual(second.snapshot.createdAt, first.snapshot.createdAt);
    assert.match(second.snapshot.playerUrl, /^http:\/\/127\.0\.0\.1:3123\/snapshots\/snapshot\.jpg$/);
  });

  test("14. a legacy client", async () => {
    const fleet = await Fleet.start(`${EXTRA}\nlegacy_addresses = ["127.0.0.0/8", "::1"]`);
    const admin = await fleet.admin();
    assert.equal((await fleet.health()).status, 200, "it asks this before it connects");
    const authenticate = async () => {
      const old = fleet.socket({});
      await connected(old);
      old.emit("AUTHENTICATE", { id: null, name: "Old", ip: "10.0.0.7", mac: "aa:bb:cc", status: "online" });
      return [old, (await old.record.next("AUTH_SUCCESS")).id];
    };
    const [first, id] = await authenticate();
    assert.match(id, /^legacy-[0-9a-f]{8}$/);
    first.disconnect();
    const [old, again] = await authenticate();
    assert.equal(again, id);
    old.emit("heartbeat", { id, name: "Old", vlc: { status: { currentItem: "a.mp4", state: "playing" }, playlist: { playlistName: "m" } }, snapshot: null });
    await until("the heartbeat", () => page(admin, id).vlc?.currentItem === "a.mp4");
    admin.emit("player:command", { deviceId: id, command: "vlc:play" });
    assert.ok((await old.record.next("PLAY")).timestamp);
    const assumed = await admin.record.next("command:response");
    assert.deepEqual([assumed.status, assumed.result, assumed.attempts], ["success", { assumed: true }, 1]);
    admin.emit("player:command", { deviceId: id, command: "vlc:stop" });
    await old.record.next("STOP");
    old.emit("command_received", { command: "STOP" });
    assert.equal((await admin.record.next("command:response")).status, "success");
    assert.deepEqual(old.record.of("player:command"), []);
  });

  test("17. commands for the monitor", async () => {
    const fleet = await Fleet.start(EXTRA);
    const admin = await fleet.admin();
    const p1 = await player(fleet);
    await connected(p1.connectMain());
    // Before it has registered it is an auxiliary socket itself.
    await admin.record.next("device:connected", of("p1"));
    const ask = async (command) => {
      admin.emit("player:command", { deviceId: "p1", command, params: { volume: 5 } });
      return admin.record.next("command:response");
    };
    assert.equal((await ask("sync:restart")).code, "DEVICE_OFFLINE");
    await connected(p1.connectMonitor());
    const done = await ask("sync:updateConfig");
    assert.deepEqual([done.status, done.result], ["success", { assumed: true }]);
    assert.deepEqual((await p1.monitor.record.next("command")).data, { volume: 5 });
    p1.refuses.add("updateConfig");
    const failed = await ask("sync:updateConfig");
    assert.deepEqual([failed.status, failed.message], ["error", "no updateConfig"]);
    const restart = ask("sync:restart");
    await p1.monitor.record.next("command", ({ type }) => type === "restart");
    p1.monitor.disconnect();
    assert.equal((await restart).status, "success");
  });

  test("20. lastSeen of a connection that fell silent is the time of its last frame", async () => {
    const fleet = await Fleet.start(`${EXTRA}\nstate_request_interval_ms = 0`);
    const admin = await fleet.admin();
    const wire = await relay(fleet.daemon.port);
    fleet.relays.push(wire);
    const p1 = await player(fleet);
    await connected(p1.connectMain({ url: wire.url, reconnection: false }));
    await admin.record.next("device:connected", of("p1"));
    // Nothing but pongs for a while.
    await sleep(3_000);
    wire.cut();
    const cut = Date.now();
    const gone = await admin.record.next("device:disconnected", of("p1"), 5_000);
    const seen = Date.parse(gone.lastSeen);
    assert.ok(seen <= cut + 200, `${seen - cut} ms after the line was cut`);
    assert.ok(seen >= cut - 2_000, `${cut - seen} ms before it, and it answers a ping each half second`);
  });

  test("22. pairing by code", async () => {
    const fleet = await Fleet.start(`${EXTRA}\npairing = true`);
    const admin = await fleet.admin();
    const seat = fleet.socket({ pairing: true });
    await connected(seat);
    seat.emit("player:pair", { deviceName: "Hall" });
    const { code, expiresAt } = await seat.record.next("player:pairing");
    assert.match(code, /^[A-Z2-9]{6}$/);
    assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 600_000) < 10_000);
    const wrong = await admin.timeout(5_000).emitWithAck("device:pair", { code: "0O1I00", deviceId: "p9" });
    assert.equal(wrong.error.code, "PAIR_CODE_UNKNOWN");
    const left = once(seat, "disconnect");
    const ack = await admin.timeout(5_000).emitWithAck("device:pair", { code, deviceId: "p9", deviceGroup: "g1" });
    assert.deepEqual(ack, { ok: true, deviceId: "p9" });
    const { deviceId, authToken } = await seat.record.next("player:paired");
    await left;
    assert.equal(deviceId, "p9");
    await fleet.registered("p9", { authToken });
    assert.equal((await refusal(fleet.socket({}))).message, "Device not authorized");
  });

  test("23. rotation", async () => {
    const fleet = await Fleet.start(EXTRA);
    const authToken = await fleet.token("p1");
    const p1 = await fleet.registered("p1", { authToken });
    const answer = await fleet.adminApi("/signage/devices/p1/rotate", "POST");
    assert.equal(answer.status, 200, answer.body);
    const rotated = answer.json().authToken;
    assert.equal((await p1.record.next("player:token")).authToken, rotated);
    for (const token of [authToken, rotated, authToken]) await fleet.player("p1", { authToken: token });
    assert.equal((await fleet.adminApi("/signage/devices/p1/revoke", "POST")).status, 200);
    for (const token of [authToken, rotated]) assert.equal((await refusal(fleet.socket({ deviceId: "p1", authToken: token }))).message, "Device not authorized");
  });
});
