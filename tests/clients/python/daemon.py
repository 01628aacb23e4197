"""Starts the daemon under test (or the oracle) on a free port, waits until it answers, and ends it."""

import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

CLIENTS = pathlib.Path(__file__).resolve().parent.parent
ORACLE = os.environ.get("SIOD_ORACLE") == "1"
BUILT = os.environ.get("CARGO_TARGET_DIR", str(CLIENTS / "../../target"))
BIN = os.environ.get("SIOD_BIN", f"{BUILT}/debug/siod")
START_SECONDS_MAX = 20
CONFIG = """
[server]
shards = 2
data_dir = "{dir}/data"
[[listener]]
bind = "127.0.0.1:{port}"
[admin]
bind = "127.0.0.1:{admin}"
[store]
url = "memory:"
[apps.utalk]
enabled = true
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """The conformance fixture; with the official server it also has the events of `lab`. With settings of utalk it is that application."""

    def __init__(self, utalk=None):
        port = free_port()
        self.dir = tempfile.TemporaryDirectory()
        self.url = f"http://127.0.0.1:{port}"
        command = ["node", str(CLIENTS / "oracle.mjs"), f"127.0.0.1:{port}"] if ORACLE else [
            BIN, "conformance", "--listen", f"127.0.0.1:{port}"]
        if utalk is not None:
            config = pathlib.Path(self.dir.name) / "siod.toml"
            config.write_text(CONFIG.format(port=port, admin=free_port(), dir=self.dir.name) + utalk)
            command = [BIN, "run", "--config", str(config)]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self._wait(command)
        except BaseException:
            self.stop()
            raise

    def _wait(self, command):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise RuntimeError(f"{' '.join(command)} has ended:\n{self.log.read().decode(errors='replace')}")
            try:
                # An unknown transport is refused without leaving a session behind.
                urllib.request.urlopen(f"{self.url}/socket.io/?EIO=4&transport=none", timeout=1)
            except urllib.error.HTTPError as answer:
                if answer.code == 400:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"{' '.join(command)} does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.dir.cleanup()
