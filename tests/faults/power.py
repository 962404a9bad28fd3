"""`python -m tests.faults.power`: cut the power at any moment of a recorded run; nothing that was answered is lost.

A real relay runs under strace and takes bodies, sends pages, prunes, copies its log home, migrates and shuts down.
From the record, the files are built again as a power cut at some moment may have left them (tests/faults/disk.py). The
relay's own store opens each of these, and must know everything that was answered 2xx before the cut, and every page of
which a byte was sent to PagerDuty.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from relay.alert import alert_id, fingerprint_of
from relay.errors import RelayError
from relay.page import State
from relay.rules.ledger import Ledger, Lookup
from relay.store import SqliteStore
from relay.store.connect import FILE, migrations
from tests.acceptance.programs import Relay, Sandbox
from tests.faults.disk import CALLS, Disk, Event, Rest, read

GROUPS = 24
"""Groups that fire and resolve in a record."""
BEFORE = 8
"""Groups that fire in a store of an older schema, which the recorded relay migrates."""
RETENTION = 1.0
"""Seconds after which what is over is forgotten."""
_ROOT = Path(__file__).parents[2]
_KEY = "7e57ca4a41ab1e0000000000000000aa"

States = Mapping[str, tuple[int, bool]]
"""Of each alert of a group, by instance: which statement of it this is, counted from 1, and whether it fires."""


@dataclass
class Said:
    """Everything that was posted and answered 2xx, in order, by group."""

    answered: dict[str, list[States]] = field(default_factory=dict)

    def post(self, relay: Relay, group: str, states: States) -> None:
        """Post a body; it must be taken."""
        answer = relay.post(_body(group, states))
        assert answer.status == 200, answer.text
        self.answered.setdefault(group, []).append(states)


@dataclass(frozen=True)
class Record:
    """One recorded run of a relay."""

    file: Path
    disk: Path
    """Where its storage directory lay."""
    start: Path
    """What lay there at the start."""
    said: Said
    before: frozenset[str] = frozenset()
    """Groups whose first body was answered before the record begins."""


@dataclass
class Report:
    """What the cuts came to."""

    synchronous: str
    seed: int
    events: int = 0
    states: int = 0
    answered: int = 0
    """Bodies answered 2xx in the record."""
    calls: int = 0
    """Events sent to PagerDuty in it."""
    seen: Counter[str] = field(default_factory=Counter)
    """What happened to the files in the record."""
    lost: int = 0
    """States in which something answered was unknown."""
    unwritten: int = 0
    """States that did not know of a page of which PagerDuty was told."""
    corrupt: int = 0
    problems: list[str] = field(default_factory=list)
    """The first few, in words."""

    def add(self, other: "Report") -> None:
        """Put another part with this one."""
        for name in ("events", "states", "answered", "calls", "lost", "unwritten", "corrupt"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seen += other.seen
        self.problems = (self.problems + other.problems)[:20]

    @property
    def vacuous(self) -> list[str]:
        """Name what the records should have had in them."""
        wanted = {
            "blocks copied home": 50,
            "migrations": 1,
            "shut down": 2,
            "directories synced": 4,
            "alerts pruned": 1,
        }
        found = [f"vacuous: {what}: {self.seen[what]}" for what, least in wanted.items() if self.seen[what] < least]
        if min(self.answered, self.calls) < BEFORE:
            found.append(f"vacuous: {self.answered} bodies answered, {self.calls} calls made")
        return found

    def __str__(self) -> str:
        rows = {
            "synchronous": self.synchronous,
            "seed": self.seed,
            "events in the records": self.events,
            "of them": ", ".join(f"{what} {count}" for what, count in sorted(self.seen.items())),
            "bodies answered 2xx": self.answered,
            "calls to PagerDuty": self.calls,
            "power cuts": self.states,
            "states that lost something answered": self.lost,
            "states that forgot what PagerDuty was told": self.unwritten,
            "corrupt states": self.corrupt,
        }
        return "\n".join(f"  {name:<46} {value}" for name, value in rows.items())


def run(
    folder: Path,
    *,
    states: int,
    seed: int,
    synchronous: str = "FULL",
    groups: int = GROUPS,
    workers: int = 1,
    old: bool = True,
) -> Report:
    """Record a relay on a new store, and (`old`) on one of an older schema; cut the power `states` times."""
    report = Report(synchronous, seed)
    sandbox = Sandbox(folder)
    sandbox.start()
    try:
        stores = (_fresh, _migrated) if old else (_fresh,)
        with ThreadPoolExecutor() as pool:
            recording = [
                pool.submit(make, folder / make.__name__.strip("_"), sandbox, synchronous, groups, random.Random(seed))
                for make in stores
            ]
            records = [one.result() for one in recording]
    finally:
        sandbox.put_away()
    for record in records:
        _look_over(record, report)
        jobs = [(record, synchronous, seed, states // len(records), number, workers) for number in range(workers)]
        if workers == 1:
            report.add(_cut(*jobs[0]))
            continue
        with ProcessPoolExecutor(workers) as pool:
            for part in pool.map(_cut, *zip(*jobs, strict=True)):
                report.add(part)
    return report


# The records


def _fresh(folder: Path, sandbox: Sandbox, synchronous: str, groups: int, chance: random.Random) -> Record:
    """Record a relay whose storage directory is not there yet."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    return _recorded(folder, sandbox, disk / "deep" / "storage", synchronous, groups, chance)


def _migrated(folder: Path, sandbox: Sandbox, synchronous: str, groups: int, chance: random.Random) -> Record:
    """Record a relay that finds a store of the first schema, with pages that are open."""
    storage, before = folder / "disk" / "storage", Said()
    storage.mkdir(parents=True)
    relay = Relay(folder, _config(folder, sandbox), name="before", storage=storage)
    try:
        relay.start()
        for number in range(BEFORE):
            before.post(relay, f"Old{number:02}", {"i0": (1, True)})
    finally:
        relay.put_away()
    _downgrade(storage / FILE)
    return _recorded(folder, sandbox, storage, synchronous, groups, chance, before)


def _recorded(
    folder: Path,
    sandbox: Sandbox,
    storage: Path,
    synchronous: str,
    groups: int,
    chance: random.Random,
    before: Said | None = None,
) -> Record:
    """Run a relay under load, with every call that touches a file or a socket written down; then let it end."""
    said, start = Said(dict(before.answered) if before else {}), folder / "start"
    shutil.copytree(folder / "disk", start)
    relay = _watched(folder, _config(folder, sandbox), storage, synchronous)
    old = frozenset(said.answered)
    try:
        relay.start()
        _load(relay, said, groups, chance)
        for child in _children(relay.pid):
            os.kill(child, signal.SIGTERM)
        assert relay.ended() == 0, relay.output()
    finally:
        for child in _children(relay.pid) if relay.running else []:
            os.kill(child, signal.SIGKILL)
        relay.put_away()
    return Record(folder / "record", folder / "disk", start, said, old)


def _config(folder: Path, sandbox: Sandbox) -> Path:
    document = {
        "global": {"pagerduty_url": sandbox.events_url, "budget": {"events": 1_000_000, "within": "60s"}},
        "route": {"receiver": "team", "group_by": ["alertname"], "group_interval": "1s"},
        "receivers": [{"name": "team", "pagerduty_configs": [{"routing_key": _KEY}]}],
    }
    file = folder / "relay.yml"
    file.write_text(yaml.safe_dump(document))
    return file


def _watched(folder: Path, config: Path, storage: Path, synchronous: str) -> Relay:
    relay = Relay(folder, config, storage=storage, environ={"PYTHONPATH": str(_ROOT)})
    strace = ["strace", "-f", "-qq", "-y", "-xx", "-ttt", "-s", "1000000", "-o", str(folder / "record")]
    flags = [*relay.command[2:], f"--data.retention={RETENTION:g}s"]
    program = [sys.executable, "-m", "tests.faults.powered", synchronous, "serve", *flags]
    relay.command = [*strace, "-e", "trace=" + ",".join(CALLS), *program]
    return relay


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _load(relay: Relay, said: Said, groups: int, chance: random.Random) -> None:
    """Let groups fire and resolve from several senders at once, for longer than what is over is kept."""
    names = [f"Group{number:02}" for number in range(groups)] + list(said.answered)
    senders = [
        threading.Thread(target=_send, args=(relay, said, names[part::4], random.Random(chance.random())))
        for part in range(4)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    for group in names[: groups // 2]:
        said.post(relay, group, {name: (number + 1, False) for name, (number, firing) in _last(said, group) if firing})
    time.sleep(RETENTION + 1.5)


def _last(said: Said, group: str) -> Iterable[tuple[str, tuple[int, bool]]]:
    return said.answered[group][-1].items()


def _send(relay: Relay, said: Said, groups: Sequence[str], chance: random.Random) -> None:
    for _ in range(5):
        for group in groups:
            before = said.answered[group][-1] if group in said.answered else {}
            count = chance.choice((1, 2, 3, 30)) if not before else len(before)
            states = {f"i{number}": _next(before.get(f"i{number}", (0, False)), chance) for number in range(count)}
            said.post(relay, group, states)
        time.sleep(chance.uniform(0.05, 0.2))


def _next(before: tuple[int, bool], chance: random.Random) -> tuple[int, bool]:
    """State an alert anew: it fires, resolves, or fires on with other words."""
    number, firing = before
    return number + 1, not firing or chance.random() < 0.2


def _labels(group: str, instance: str) -> dict[str, str]:
    return {"alertname": group, "instance": instance, "severity": "critical" if group[-1] in "02468" else "warning"}


def _body(group: str, states: States) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    alerts = [
        {
            "status": "firing" if firing else "resolved",
            "labels": _labels(group, instance),
            "annotations": {"statement": str(number), "text": "x" * 300},
            "startsAt": now,
            "endsAt": "0001-01-01T00:00:00Z" if firing else now,
        }
        for instance, (number, firing) in states.items()
    ]
    return {"version": "4", "groupKey": f'{{}}:{{alertname="{group}"}}', "receiver": "relay", "alerts": alerts}


def _downgrade(file: Path) -> None:
    """Write the store anew as the first schema had it, with every row that it had a table and columns for."""
    new = file.with_name("first.db")
    with sqlite3.connect(new) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(migrations()[0] + "CREATE TABLE schema_version (version INTEGER);")
        db.execute("INSERT INTO schema_version VALUES (1)")
        db.execute("ATTACH ? AS now", (str(file),))
        tables = [name for (name,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        for table in tables:
            columns = ", ".join(_columns(db, "main", table) & _columns(db, "now", table))
            if columns and not table.startswith(("sqlite_", "schema_version")):
                db.execute(f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
        db.commit()
        db.execute("DETACH now")
    db.close()
    new.replace(file)


def _columns(db: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA {schema}.table_info({table})")}


# The cuts


@dataclass
class _Known:
    """What must be known after a cut at some moment."""

    answered: dict[tuple[str, str], tuple[int, bool, float]] = field(default_factory=dict)
    """By group and instance: the last statement answered 2xx, whether it fires, and when that was."""
    told: dict[str, str] = field(default_factory=dict)
    """By dedup key: the last action that PagerDuty may have got a byte of."""
    counts: Counter[str] = field(default_factory=Counter)

    def answer(self, group: str, said: Said, at: float) -> None:
        """Note that the next body of a group was answered."""
        for name, (statement, firing) in said.answered[group][self.counts[group]].items():
            self.answered[group, name] = statement, firing, at
        self.counts[group] += 1

    def hear(self, event: Event, said: Said) -> bool:
        """Learn from what was sent over a socket; False where it says nothing."""
        if event.kind != "send":
            return False
        if b'"outcomes":' in event.data and (found := _GROUP.search(event.data)):
            group = found[1].decode()
            self.answer(group, said, event.at)
            return True
        key, action = _KEY_OF.search(event.data), _ACTION.search(event.data)
        if key and action and b'"routing_key"' in event.data:
            self.told[key[1].decode()] = action[1].decode()
            return True
        return False


_GROUP = re.compile(rb'"alertname":"(\w+)"')
_KEY_OF = re.compile(rb'"dedup_key":"([^"]+)"')
_ACTION = re.compile(rb'"event_action":"(\w+)"')


def _known_at_start(record: Record) -> _Known:
    known = _Known()
    for group in record.before:
        known.answer(group, record.said, 0.0)
    return known


def _look_over(record: Record, report: Report) -> None:
    """Count what is in a record."""
    known = _known_at_start(record)
    for event in read(record.file):
        known.hear(event, record.said)
        if not event.path.startswith(str(record.disk)):
            continue
        report.events += 1
        report.seen["blocks copied home"] += event.kind == "write" and event.path.endswith(FILE)
        report.seen["directories synced"] += event.kind == "synced" and Path(event.path).is_dir()
        report.seen["shut down"] += event.kind == "unlink" and event.path.endswith("-wal")
        report.seen["migrations"] += event.kind == "write" and b"schema_version" in event.data and bool(record.before)
    report.answered += known.counts.total() - len(record.before)
    report.calls += len(known.told)
    ledger = asyncio.run(_opened(record.disk / _storage(record), known))
    report.seen["alerts pruned"] += len(_ids(known)) - len(ledger.alerts)


def _cut(record: Record, synchronous: str, seed: int, states: int, part: int, parts: int) -> Report:
    """Play the record, and at every `parts`-th of its moments open what a power cut would leave of it."""
    report = Report(synchronous, seed)
    events = [event for event in read(record.file) if event.kind == "send" or event.path.startswith(str(record.disk))]
    chance = random.Random(seed)
    moments = sorted(chance.sample(range(len(events)), min(len(events), max(1, states // len(Rest)))))
    mine = set(moments[part::parts])
    disk, known = Disk(record.disk, record.start), _known_at_start(record)
    storage = _storage(record)
    for number, event in enumerate(events):
        disk.play(event)
        known.hear(event, record.said)
        if number not in mine:
            continue
        for rest in Rest:
            left = disk.left(rest, random.Random(f"{seed} {number} {rest}"))
            found = _judged(left, storage, known, event.at)
            report.states += 1
            report.lost += bool(found.lost)
            report.unwritten += bool(found.unwritten)
            report.corrupt += bool(found.corrupt)
            words = [*found.corrupt, *found.lost[:2], *found.unwritten[:2]]
            report.problems += [f"after event {number} of {record.disk.parent.name}, {rest}: {what}" for what in words]
    report.problems = report.problems[:20]
    return report


def _storage(record: Record) -> str:
    """Say where the storage directory is below the disk's root."""
    file = next(path for path in (record.disk).rglob(FILE))
    return str(file.parent.relative_to(record.disk))


@dataclass
class _Found:
    lost: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)


def _judged(left: Mapping[str, bytes], storage: str, known: _Known, at: float) -> _Found:
    """Write the files that are left, open them with the relay's own store, and compare."""
    found = _Found()
    with tempfile.TemporaryDirectory(dir=_memory()) as place:
        for path, content in left.items():
            file = Path(place) / path
            if file.suffix != ".db-shm":  # memory that processes share: a power cut leaves nothing of it
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        try:
            ledger = asyncio.run(_opened(Path(place) / storage, known))
        except (RelayError, sqlite3.Error) as error:
            found.corrupt.append(f"the store does not open: {error}")
            return found
        found.corrupt += [f"set aside: {file.name}" for file in Path(place).rglob("*corrupt*")]
        with sqlite3.connect(Path(place) / storage / FILE) as db:
            said = [words for (words,) in db.execute("PRAGMA integrity_check") if words != "ok"]
        db.close()
        found.corrupt += said
    found.lost = list(_lost(ledger, known, at))
    found.unwritten = list(_unwritten(ledger, known))
    return found


def _memory() -> str | None:
    """Where files cost no fsync: these states are read once."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


async def _opened(storage: Path, known: _Known) -> Ledger:
    store = await SqliteStore.open(storage)
    try:
        return await store.look(Lookup(alerts=tuple(_ids(known))))
    finally:
        await store.close()


def _ids(known: _Known) -> list[int]:
    return [_id(group, name) for group, name in known.answered]


def _id(group: str, instance: str) -> int:
    return alert_id("", fingerprint_of(_labels(group, instance)))


def _lost(ledger: Ledger, known: _Known, at: float) -> list[str]:
    """Name alerts that are unknown, or known as they were before what was answered last."""
    found = []
    for (group, name), (statement, firing, answered_at) in known.answered.items():
        held = ledger.alerts.get(_id(group, name))
        if held is None:
            if firing or at - answered_at < RETENTION:
                found.append(f"{group} {name} was answered and is unknown")
        elif int(json.loads(held.raw)["annotations"]["statement"]) < statement:
            found.append(f"{group} {name}: statement {statement} was answered, an older one is held")
    return found


def _unwritten(ledger: Ledger, known: _Known) -> list[str]:
    """Name pages that PagerDuty was told of though the store holds them as never sent."""
    pages = {page.dedup_key: page for page in ledger.pages.values()}
    return [
        f"{key} was sent to PagerDuty and the store does not know"
        for key, action in known.told.items()
        if action == "trigger" and key in pages and all(line.state is State.NEVER for line in pages[key].lines)
    ]


def main() -> int:
    """Run, print the table, and keep the folder where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.power", description=__doc__)
    parser.add_argument("--states", type=int, default=2_000, help="how many power cuts")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="for chance")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pagerelay-power-"))
    print(f"seed {arguments.seed}, in {folder}", flush=True)
    workers = len(os.sched_getaffinity(0))
    began = time.monotonic()
    full = run(_made(folder / "FULL"), states=arguments.states, seed=arguments.seed, workers=workers)
    control = run(_made(folder / "NORMAL"), states=200, seed=arguments.seed, synchronous="NORMAL", workers=workers)
    print(full, control, f"  {'seconds':<46} {time.monotonic() - began:.0f}", sep="\n\n")
    problems = (
        full.vacuous + full.problems + ([] if control.lost else ["the control lost nothing: this proves nothing"])
    )
    for problem in problems:
        print(f"PROBLEM {problem}")
    if problems:
        print(f"kept: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
