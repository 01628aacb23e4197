"""The fake devices of the tests, driven by aioshelly, which speaks with real ones: it is the devices that are tried here."""

import asyncio
import json
import pathlib
import unittest

import aiohttp
from aiohttp import web
from aioshelly.block_device import COAP, BlockDevice
from aioshelly.common import ConnectionOptions, get_info
from aioshelly.exceptions import InvalidAuthError
from aioshelly.rpc_device import RpcDevice, RpcUpdateType, WsServer

SERVE = pathlib.Path(__file__).resolve().parent.parent / "lib/shelly/serve.mjs"
MAC = "B0B21C12DD94"
HOST = "127.0.0.1"
SECONDS = 5


class Fake:
    """A device in a process of its own."""

    @classmethod
    async def start(cls, kind, **options):
        fake = cls()
        pipe = asyncio.subprocess.PIPE
        fake.process = await asyncio.create_subprocess_exec(
            "node", str(SERVE), kind, json.dumps({"mac": MAC, **options}), stdin=pipe, stdout=pipe)
        fake.port = int(await fake._line())
        return fake

    async def _line(self):
        return await asyncio.wait_for(self.process.stdout.readline(), SECONDS)

    async def call(self, name, *args):
        self.process.stdin.write(json.dumps([name, *args]).encode() + b"\n")
        return json.loads(await self._line())

    async def end(self):
        self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), SECONDS)


class Case(unittest.IsolatedAsyncioTestCase):
    async def fake(self, kind, **options):
        fake = await Fake.start(kind, **options)
        self.addAsyncCleanup(fake.end)
        return fake

    async def session(self, **options):
        session = aiohttp.ClientSession(**options)
        self.addAsyncCleanup(session.close)
        return session


class SecondGeneration(Case):
    async def connected(self, fake, server=None, **options):
        """A device as the library has it, what it says of updates, and how that is waited for."""
        options = ConnectionOptions(ip_address=HOST, port=fake.port, device_mac=MAC, **options)
        device = await RpcDevice.create(await self.session(), server, options)
        self.addAsyncCleanup(device.shutdown)
        updates = asyncio.Queue()
        device.subscribe_updates(lambda _, kind: updates.put_nowait(kind))
        await device.initialize()
        return device, updates

    async def until(self, updates, wanted):
        while await asyncio.wait_for(updates.get(), SECONDS) is not wanted:
            pass

    async def test_what_it_says_of_itself_is_understood(self):
        device, _ = await self.connected(await self.fake("plug"))
        self.assertEqual(device.model, "SNPL-00112EU")
        self.assertEqual(device.gen, 2)
        self.assertTrue(device.firmware_supported)
        self.assertEqual(device.status["switch:0"]["voltage"], 227.9)
        self.assertFalse(device.requires_auth)

    async def test_it_obeys_and_says_what_has_changed(self):
        device, updates = await self.connected(await self.fake("plug"))
        for wanted in (False, True):
            await device.switch_set(0, wanted)
            await self.until(updates, RpcUpdateType.STATUS)
            self.assertIs(device.status["switch:0"]["output"], wanted)
        self.assertEqual(await device.call_rpc("Switch.Set", {"id": 0, "on": False, "toggle_after": 0.05}), {"was_on": True})
        await self.until(updates, RpcUpdateType.STATUS)
        await self.until(updates, RpcUpdateType.STATUS)
        self.assertIs(device.status["switch:0"]["output"], True)

    async def test_notifications_are_merged_and_events_are_heard(self):
        fake = await self.fake("plug")
        device, updates = await self.connected(fake)
        await fake.call("changes", {"switch:0": {"id": 0, "apower": 42.5}})
        await self.until(updates, RpcUpdateType.STATUS)
        switch = device.status["switch:0"]
        self.assertEqual((switch["apower"], switch["voltage"]), (42.5, 227.9))
        await fake.call("happens", "input:0", "single_push")
        await self.until(updates, RpcUpdateType.EVENT)
        self.assertEqual(device.event["events"][0]["event"], "single_push")
        await fake.call("hangsUp")
        await self.until(updates, RpcUpdateType.DISCONNECTED)

    async def test_a_password_is_asked_for_by_digest(self):
        for forms in ({}, {"nonce": "string"}, {"nc": "string"}):
            with self.subTest(forms):
                fake = await self.fake("plug", password="secreto", **forms)
                device, _ = await self.connected(fake, username="admin", password="secreto")
                self.assertTrue(device.requires_auth)
                await device.switch_set(0, False)
                await device.update_status()
                self.assertIs(device.status["switch:0"]["output"], False)
                self.assertEqual(await fake.call("refused"), 0)

    async def test_another_password_and_none_are_refused(self):
        fake = await self.fake("plug", password="secreto")
        for given in ({"username": "admin", "password": "otro"}, {}):
            with self.subTest(given), self.assertRaises(InvalidAuthError):
                await self.connected(fake, **given)
        self.assertEqual(await fake.call("refused"), 1)

    async def test_it_dials_out(self):
        server = WsServer()
        app = web.Application()
        app.add_routes([web.get("/out", server.websocket_handler)])
        runner = web.AppRunner(app)
        await runner.setup()
        self.addAsyncCleanup(runner.cleanup)
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        url = f"ws://{HOST}:{runner.addresses[0][1]}"
        fake = await self.fake("plug")
        frames = asyncio.Queue()
        # The library finds the device by what it calls itself.
        server.subscribe_updates(MAC, frames.put_nowait)
        self.assertEqual(await fake.call("dialsOut", f"{url}/elsewhere"), 404)
        self.assertEqual(await fake.call("dialsOut", f"{url}/out"), 101)
        full = await asyncio.wait_for(frames.get(), SECONDS)
        self.assertEqual((full["method"], full["params"]["switch:0"]["voltage"]), ("NotifyFullStatus", 227.9))
        await fake.call("changes", {"switch:0": {"id": 0, "apower": 7.25}})
        part = await asyncio.wait_for(frames.get(), SECONDS)
        self.assertEqual((part["method"], part["params"]["switch:0"]), ("NotifyStatus", {"id": 0, "apower": 7.25}))


class FirstGeneration(Case):
    """The library asks devices of this generation at port 80 alone; the fake is its proxy, and sees the same requests."""

    async def connected(self, fake, **options):
        session = await self.session(proxy=f"http://{HOST}:{fake.port}")
        return BlockDevice(COAP(), session, ConnectionOptions(ip_address=HOST, **options))

    async def test_it_says_what_it_is_and_obeys(self):
        fake = await self.fake("gen1")
        info = await get_info(await self.session(), HOST, MAC, fake.port)
        self.assertEqual((info["type"], info["mac"]), ("SHPLG-S", MAC))
        device = await self.connected(fake)
        await device.update_shelly()
        settings = await device.http_request("get", "settings")
        self.assertEqual(settings["device"]["hostname"], f"shellyplug-s-{MAC[6:]}")
        for turn, ison in (("on", True), ("off", False), ("toggle", True)):
            self.assertIs((await device.http_request("get", "relay/0", {"turn": turn}))["ison"], ison)
        status = await device.http_request("get", "status")
        self.assertIs(status["relays"][0]["ison"], True)
        self.assertEqual(status["meters"][0]["total"], 2632)

    async def test_it_asks_for_a_password(self):
        fake = await self.fake("gen1", password="secreto")
        for password, is_let_in in (("secreto", True), ("otro", False)):
            with self.subTest(password):
                device = await self.connected(fake, username="admin", password=password)
                await device.update_shelly()
                self.assertTrue(device.requires_auth)
                if is_let_in:
                    await device.update_status()
                else:
                    with self.assertRaises(InvalidAuthError):
                        await device.update_status()


if __name__ == "__main__":
    unittest.main()
