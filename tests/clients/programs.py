"""The clients as processes: each is started once, told what to send line by line, and says what it was answered."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DRIVERS = ROOT / "tests" / "clients" / "drivers"
INSTALLED = ROOT / ".venv" / "clients"
"""Where the installers beside this file put what is not in the environment of the tests."""
PAGERDUTY, PDJS, GO = INSTALLED / "pagerduty-7.2.0", INSTALLED / "pdjs-2.2.4", INSTALLED / "go-pagerduty-v1.8.0"

EVENTS = ("pdpyras", "pagerduty", "pdjs", "go-pagerduty", "curl")
"""Clients that send alert events and change events."""
TLS_ONLY = ("pagerduty", "pdjs")
"""Clients that refuse to speak plain http."""


@dataclass(frozen=True, slots=True)
class Where:
    """The address and key that a client is given."""

    url: str
    key: str
    authority: Path | None = None
    """Who signed the certificate of an https address."""


class Client:
    """One client of PagerDuty's Events API, unmodified."""

    def __init__(self, name: str, where: Where, folder: Path) -> None:
        self.name = name
        command, environ = _command(name, folder)
        self._log = (folder / f"{name}.log").open("ab")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            text=True,
            env={**os.environ, **environ, **_settings(where)},
        )

    def say(self, action: str, key: str = "") -> dict[str, Any]:
        """Have it send something, and return what it told its user."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{action} {key}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"{self.name} ended: {Path(self._log.name).read_text()[-4_000:]}"
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> None:
        """Say that nothing more is to be sent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextmanager
def sending(name: str, where: Where, folder: Path) -> Iterator[Client]:
    """Start a client, and end it; skip the test where it is not installed."""
    if why := missing(name):
        pytest.skip(why)
    client = Client(name, where, Path(mkdtemp(prefix=f"{name}-", dir=folder)))
    try:
        yield client
    finally:
        client.end()


def missing(name: str) -> str:
    """Say why a client cannot be tried here; "" if it can."""
    wanted = {"pagerduty": PAGERDUTY, "pdjs": PDJS, "go-pagerduty": GO}.get(name)
    if wanted is not None and not wanted.exists():
        installer = f"tests/clients/install-{name.removesuffix('-pagerduty')}.sh"
        return f"!! {name} is NOT tested, it is not installed: sh {installer}"
    program = {"pdjs": "node", "curl": "curl", "alertmanager": "prometheus-alertmanager"}.get(name)
    if program is not None and shutil.which(program) is None:
        return f"!! {name} is NOT tested, there is no {program} here"
    return ""


def _command(name: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    match name:
        case "pdpyras" | "requests":
            return _python(f"send_{name}")
        case "pagerduty":
            return _python("send_pagerduty", PAGERDUTY)
        case "pdjs":
            return ["node", str(_module(folder))], {}
        case "go-pagerduty":
            return [str(GO / "client")], {}
        case _:
            return ["sh", str(DRIVERS / "send_curl.sh")], {}


def _python(driver: str, *libraries: Path) -> tuple[list[str], dict[str, str]]:
    path = os.pathsep.join(str(place) for place in (*libraries, ROOT))
    return [sys.executable, "-W", "ignore", "-m", f"tests.clients.drivers.{driver}"], {"PYTHONPATH": path}


def _module(folder: Path) -> Path:
    """Put the program where node finds the library: modules are looked for beside whoever imports them."""
    own = folder / "pdjs"
    own.mkdir(exist_ok=True)
    (own / "node_modules").symlink_to(PDJS / "node_modules")
    return Path(shutil.copy(DRIVERS / "send_pdjs.mjs", own))


def _settings(where: Where) -> Mapping[str, str]:
    plain = {"RELAY_URL": where.url, "RELAY_SERVER": urlsplit(where.url).netloc, "PD_ROUTING_KEY": where.key}
    if where.authority is None:
        return plain
    names = ("RELAY_CA", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return {**plain, **dict.fromkeys(names, str(where.authority))}
