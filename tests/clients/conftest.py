"""A sandbox and relays in front of it, one that speaks http and others https, which all clients work with."""

import json
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from tests.acceptance.conftest import KEYS, leaks
from tests.acceptance.programs import Relay, Sandbox, free_port, wait_for
from tests.certificates import Authority
from tests.clients.programs import Where

VIRTUAL = "7e57ca4a41ab1e0000000000000000cc"
"""The routing key of the source `tools`, which PagerDuty does not know."""


class House:
    """The programs that all clients share, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, key in {**KEYS, "tools": VIRTUAL}.items():
            (folder / f"{name}.key").write_text(key + "\n")
        self.sandbox = Sandbox(folder, keys=KEYS)
        self.authority = Authority(folder / "tls")
        self._cert, self._key = self.authority.sign("relay", "IP:127.0.0.1", "DNS:localhost")
        self.plain, self.secure, self.busy = self._relay("plain"), self._over_tls("secure"), self._over_tls("busy")
        self.relays = (self.plain, self.secure, self.busy)

    def start(self) -> None:
        """Start all of them at once, and wait until they serve."""
        for program in (self.sandbox, *self.relays):
            program.spawn()
        self.sandbox.wait_until(f"{self.sandbox.url}/sandbox/healthz")
        for relay in self.relays:
            wait_for(partial(_serves, relay), f"{relay.name} serves")

    def where(self, scheme: str) -> Where:
        """Say where a client sends: with a virtual key over http, with the receiver's real one over https."""
        return Where(self.plain.url, VIRTUAL) if scheme == "http" else self.at(self.secure)

    def at(self, relay: Relay) -> Where:
        """Say how a client speaks to a relay over https."""
        return Where(relay.url, KEYS["team"], self.authority.cert)

    def web(self, name: str, **web: object) -> None:
        """Write a relay's web configuration, which it reads again when it changes."""
        tls = {"cert_file": str(self._cert), "key_file": str(self._key)}
        (self.folder / f"{name}.web.yml").write_text(yaml.safe_dump({"tls_server_config": tls, **web}))

    def get(self, scheme: str, path: str) -> Any:
        """Return what a relay's own JSON says at a path."""
        where = self.where(scheme)
        trusted = ssl.create_default_context(cafile=where.authority) if where.authority else None
        with urlopen(where.url + path, timeout=30, context=trusted) as answer:
            return json.load(answer)

    def _over_tls(self, name: str) -> Relay:
        self.web(name)
        relay = self._relay(name, f"--web.config.file={self.folder / name}.web.yml")
        relay.url = relay.url.replace("http:", "https:")
        return relay

    def _relay(self, name: str, *flags: str) -> Relay:
        home = self.folder / name
        home.mkdir()
        port = free_port()
        paths = (f"--config.file={self._config()}", f"--storage.path={home}", f"--web.listen-address=127.0.0.1:{port}")
        relay = Relay(home, self._config(), name=name, arguments=[*paths, *flags])
        relay.url = f"http://127.0.0.1:{port}"
        return relay

    def _config(self) -> Path:
        document = {
            # The clients together send more than PagerDuty takes of one key in a minute.
            "global": {"pagerduty_url": self.sandbox.events_url, "budget": {"events": 5000, "within": "60s"}},
            "route": {"receiver": "team"},
            "receivers": [{"name": name, "pagerduty_configs": [{"routing_key_file": f"{name}.key"}]} for name in KEYS],
            "sources": [{"name": "tools", "native_keys": True, "routing_key_files": ["tools.key"]}],
        }
        file = self.folder / "relay.yml"
        file.write_text(yaml.safe_dump(document))
        return file

    def close(self) -> None:
        """Stop everything, and look over what it left: no routing key, no traceback."""
        programs = (*self.relays, self.sandbox)
        assert [program.name for program in programs if not program.put_away()] == []
        assert [program.name for program in programs if "Traceback" in program.output()] == []
        assert leaks(self.folder, [*KEYS.values(), VIRTUAL]) == set()


def _serves(relay: Relay) -> bool:
    assert relay.running, relay.output()
    return "pagerelay listens on" in relay.output()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests of this folder: one worker has them (tests/conftest.py)."""
    house = House(tmp_path_factory.mktemp("clients"))
    try:
        house.start()
        yield house
    finally:
        house.close()
