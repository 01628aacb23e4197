"""python-socketio, both of its clients, over each transport, against the conformance fixture."""

import asyncio
import queue
import unittest

import socketio

from daemon import Daemon

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
SECONDS = 5
BYTES = bytes(range(256))


def setUpModule():
    global daemon
    daemon = Daemon()


def tearDownModule():
    daemon.stop()


class Threaded(unittest.TestCase):
    """`socketio.Client`: threads, requests and websocket-client."""

    def connect(self, transports, auth=None, namespaces=("/",)):
        client = socketio.Client(reconnection=False)
        self.addCleanup(client.disconnect)
        arrived = queue.Queue()
        for namespace in namespaces:
            client.on("*", lambda event, *args: arrived.put((event, list(args))), namespace=namespace)
        client.connect(daemon.url, auth=auth, transports=transports, namespaces=list(namespaces), wait_timeout=SECONDS)
        return client, arrived

    def test_auth(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                _, arrived = self.connect(transports, auth={"token": "abc"})
                self.assertEqual(arrived.get(timeout=SECONDS), ("auth", [{"token": "abc"}]))

    def test_the_transport_is_the_one_asked_for(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client, _ = self.connect(transports)
                self.assertEqual(client.transport(), transports[-1])

    def test_echo(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client, arrived = self.connect(transports)
                arrived.get(timeout=SECONDS)
                client.emit("message", (1, "é𝄞", {"3": [True, None]}))
                self.assertEqual(arrived.get(timeout=SECONDS), ("message-back", [1, "é𝄞", {"3": [True, None]}]))

    def test_ack(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client, _ = self.connect(transports)
                for number in range(20):
                    self.assertEqual(client.call("message-with-ack", number, timeout=SECONDS), number)
                self.assertEqual(client.call("message-with-ack", (1, "2"), timeout=SECONDS), (1, "2"))

    def test_binary(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client, arrived = self.connect(transports)
                arrived.get(timeout=SECONDS)
                client.emit("message", (BYTES, {"deep": [b"\0"]}))
                self.assertEqual(arrived.get(timeout=SECONDS), ("message-back", [BYTES, {"deep": [b"\0"]}]))
                self.assertEqual(client.call("message-with-ack", BYTES, timeout=SECONDS), BYTES)

    def test_namespace(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                _, arrived = self.connect(transports, auth={"a": 1}, namespaces=["/custom"])
                self.assertEqual(arrived.get(timeout=SECONDS), ("auth", [{"a": 1}]))

    def test_unknown_namespace(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name), self.assertRaises(socketio.exceptions.ConnectionError):
                self.connect(transports, namespaces=["/nope"])


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    """`socketio.AsyncClient`: asyncio and aiohttp."""

    async def connect(self, transports):
        client = socketio.AsyncClient(reconnection=False)
        self.addAsyncCleanup(client.disconnect)
        arrived = asyncio.Queue()

        @client.on("*")
        async def heard(event, *args):
            await arrived.put((event, list(args)))

        await client.connect(daemon.url, auth={"who": "async"}, transports=transports, wait_timeout=SECONDS)
        self.assertEqual(await asyncio.wait_for(arrived.get(), SECONDS), ("auth", [{"who": "async"}]))
        return client, arrived

    async def test_echo_ack_and_binary(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client, arrived = await self.connect(transports)
                await client.emit("message", ("text", BYTES))
                self.assertEqual(await asyncio.wait_for(arrived.get(), SECONDS), ("message-back", ["text", BYTES]))
                self.assertEqual(await client.call("message-with-ack", {"n": 1}, timeout=SECONDS), {"n": 1})
                self.assertEqual(await client.call("message-with-ack", BYTES, timeout=SECONDS), BYTES)

    async def test_heartbeats_keep_it_connected(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client, _ = await self.connect(transports)
                lost = asyncio.Event()
                client.on("disconnect", lambda *_: lost.set())
                # The fixture pings every 300 ms and waits 200 ms: four rounds.
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(lost.wait(), 1.5)
                self.assertTrue(client.connected)


if __name__ == "__main__":
    unittest.main()
