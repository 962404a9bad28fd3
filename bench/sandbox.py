"""The sandbox as a stand-in that is measured at: a process of its own, and what it has written down so far."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.processes import Bench, Process, Server


class Call(msgspec.Struct, frozen=True):
    """One request, as the sandbox's ledger has it."""

    at: float
    """Seconds since 1970 when it came in."""
    status: int
    result: str
    event_action: str
    dedup_key: str
    severity: str
    incident: int | None = None

    @property
    def taken(self) -> bool:
        """Whether it was answered 202."""
        return self.status == 202


class Sandbox:
    """A running sandbox."""

    def __init__(self, server: Server, ledger: Path) -> None:
        self.server = server
        self._ledger = ledger
        self._calls: list[Call] = []
        self._read = 0
        self._decode = msgspec.json.Decoder(Call).decode

    def calls(self) -> Sequence[Call]:
        """Return every request so far, in order."""
        with self._ledger.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._calls.append(self._decode(line))
                self._read += len(line)
        return self._calls

    def open(self) -> set[str]:
        """Name the dedup keys that are open."""
        found: set[str] = set()
        for call in self.calls():
            if call.result in ("triggered", "triggered again"):
                found.add(call.dedup_key)
            elif call.result == "resolved":
                found.discard(call.dedup_key)
        return found


def sandbox(bench: Bench, *, events: int, within: float = 1.0) -> Sandbox:
    """Start a sandbox that takes so many calls `within` so many seconds for each key; 0 for no limit."""
    home = bench.fresh("sandbox")
    ledger = home / "ledger.jsonl"
    ledger.touch()
    command = [sys.executable, "-m", "relay", "sandbox", "--listen-address=127.0.0.1:0", f"--ledger={ledger}"]
    process: Process = bench.start([*command, f"--rate.events={events}", f"--rate.within={within}"], stdout=True)
    port = int(process.read().split(" (")[0].rpartition(":")[2])
    return Sandbox(Server(process, port), ledger)
