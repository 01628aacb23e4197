// A test that every way from a client to the daemon passes: directly, and through proxies.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./wait.mjs";

/** Adds the test; `connect` makes a client that begins by polling and may move to a WebSocket. */
export function upgradeKeepsMessages(connect) {
  test("the upgrade happens and nothing is lost around it", async () => {
    const socket = await connect();
    const back = [];
    socket.on("message-back", (index) => back.push(index));
    let sent = 0;
    const sending = setInterval(() => socket.emit("message", sent++), 2);
    await until("it has upgraded", () => socket.io.engine.transport.name === "websocket");
    await until("some more were sent", () => sent > 60);
    clearInterval(sending);
    await until("all came back", () => back.length === sent);
    assert.deepEqual(back, [...Array(sent).keys()]);
  });
}
