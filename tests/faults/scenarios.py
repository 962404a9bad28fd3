"""The rows of the fault table, each as something done to a relay under traffic: what, how long, what it proves."""

import gzip
import json
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.programs import call, wait_for
from tests.faults.judge import PERSON, Allowance
from tests.faults.producer import Group, Instance
from tests.faults.stage import KEYS, SHOWN, TIMEOUT, Setting, Stage, until
from tests.faults.toxics import UPSTREAM, Toxic, schedule

Act = Callable[[Stage], None]
_USUAL = Setting()
_NOTHING = Allowance()
DUPLICATES = "duplicates"
"""Of the proofs: judged over all seeds of a row, since not each of them can bring one about."""


@dataclass(frozen=True)
class Scenario:
    """One row, or one half of one."""

    row: int
    name: str
    act: Act
    """What is done, from the first second of traffic on; it returns when the fault is over."""
    length: float = 3.0
    """Seconds of traffic at the least."""
    setting: Setting = _USUAL
    allows: Allowance = _NOTHING
    proofs: tuple[str, ...] = ("faults", "acknowledged", "events")
    needs: str = ""
    """What the machine must let a test do: `strace`, `mount`, `faketime`."""


# A: crash and storage


def dies_at(*names: str, nth: int = 12) -> Act:
    """Be killed at one of these places, at a random time up to the nth; start again, three times."""

    def act(stage: Stage) -> None:
        for _ in range(3):
            name = stage.chance.choice(names)
            stage.kill()
            stage.start(failpoint=f"{name}:{stage.chance.randint(1, nth)}", ready=False)
            if stage.dies(12):
                stage.did(f"died at {name}")
            else:
                stage.kill()
            stage.start()

    return act


def prunes(stage: Stage) -> None:
    """Be killed while old rows are deleted, which each start does."""
    stage.producer.wish = False
    time.sleep(2.0)
    stage.producer.wish = None
    for _ in range(2):
        stage.kill()
        stage.start(failpoint="prune.step", ready=False)
        if stage.dies(12):
            stage.did("died at prune.step")
        else:
            stage.kill()
        stage.start()
        time.sleep(0.5)


def reloads_and_dies(stage: Stage) -> None:
    """Be killed right after a reload took the new rules."""
    stage.kill()
    stage.start(failpoint="reload.swapped")
    time.sleep(0.5)
    stage.configure(route={"repeat_interval": "1h"})
    stage.relay.signal(signal.SIGHUP)
    if stage.dies(12):
        stage.did("died at reload.swapped")
    stage.start()


def migrates(stage: Stage) -> None:
    """Be killed before each migration of a new store, and between them."""
    time.sleep(1.0)
    stage.producer.wish = False
    wait_for(lambda: _nothing_is_open(stage), "everything is closed", 90)
    stage.relay.stop()
    shutil.rmtree(stage.relay.storage)
    for step in range(1, 9):
        stage.start(failpoint=f"migrate.step:{step}", ready=False)
        until(lambda: not stage.relay.running or stage.relay.ready(), 90)
        if stage.relay.running:
            break
        stage.disturb()
        stage.did("died at migrate.step")
    stage.producer.wish = None


def _nothing_is_open(stage: Stage) -> bool:
    """Say whether nothing fires, is owed, waits or is open, and stays so for a moment."""
    for _ in range(2):
        fires = any(group.firing or not group.settled for group in stage.producer.groups)
        if fires or stage.open_alerts() or any(page["lane"] or page["in_flight"] for page in stage.pages()):
            return False
        time.sleep(1.0)
    return True


def dies_at_a_write(stage: Stage) -> None:
    """Be killed at the nth write to the database or its log."""
    for _ in range(2):
        nth = stage.chance.randint(1, 60)
        with stage.strace(f"pwrite64:signal=KILL:when={nth}"):
            died = stage.dies(12)
        if died:
            stage.did("killed at a write")
            stage.start()


def system_call(*inject: str, lasts: float = 1.5) -> Act:
    """Have a system call fail for a while."""

    def act(stage: Stage) -> None:
        time.sleep(0.5)
        stage.disturb(0)
        with stage.sampling(), stage.strace(*inject):
            until(lambda: stage.failed_calls() or not stage.relay.running, 15)
            until(lambda: not stage.relay.running, lasts)
            stage.disturb(0)  # what is written from now on may be told again
        if not stage.relay.running:
            stage.did("gave up, and was started again")
            stage.start()

    return act


def disk_full(stage: Stage) -> None:
    """Fill the disk the store is on, and make room again."""
    stage.relay.stop()
    mounted = stage.relay.storage
    kept = stage.folder / "moved"
    mounted.rename(kept)
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(mounted)], check=True)
    try:
        shutil.copytree(kept, mounted, dirs_exist_ok=True)
        stage.start()
        time.sleep(0.5)
        filler = mounted / "filler"
        stage.disturb(0)
        with stage.sampling():
            _fill(filler)
            stage.did("disk full")
            time.sleep(2.0)
        stage.disturb(0)
        filler.unlink()
        wait_for(stage.relay.ready, "it takes pages again")
        stage.disturb(0)
        stage.relay.stop()
        shutil.copytree(mounted, kept, dirs_exist_ok=True)
    finally:
        if stage.relay.running:
            stage.relay.kill()
        subprocess.run(["umount", str(mounted)], check=True)
    mounted.rmdir()
    kept.rename(mounted)
    stage.start()


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as full:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    full.write(b"\0" * size)
            except OSError:
                continue


def locked(stage: Stage) -> None:
    """Hold the database's lock from another program, for longer than the relay waits for it."""
    time.sleep(0.5)
    with closing(sqlite3.connect(stage.database(), isolation_level=None, timeout=10)) as db, stage.sampling():
        db.execute("BEGIN IMMEDIATE")
        stage.did("locked")
        stage.disturb(0)
        time.sleep(4.5)
        stage.disturb(0)
        db.execute("ROLLBACK")


def corrupt(stage: Stage) -> None:
    """Damage the database while the relay is stopped: it must start, and what fires must page."""
    stage.producer.changing = False
    wait_for(stage.producer.settled, "everything is acknowledged")
    time.sleep(1.5)
    stage.relay.stop()
    file = stage.database()
    file.write_bytes(_damaged(file.read_bytes(), stage.chance))
    stage.did("damaged")
    stage.start()
    if any("corrupt" in one.name for one in stage.relay.storage.iterdir()):
        stage.did("moved aside")
    for group in stage.producer.groups:
        group.settled = False
    wait_for(stage.producer.settled, "everything is said again")
    time.sleep(1.0)
    stage.producer.changing = True


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """Damage a database so that nobody can miss it: its head, its tail, or blocks in the middle."""
    match chance.choice(("head", "tail", "middle")):
        case "head":
            return bytes(100) + data[100:]
        case "tail":
            return data[: len(data) * 2 // 3]
    spoilt = bytearray(data)
    for _ in range(8):
        at = 4096 * chance.randrange(1, len(data) // 4096)
        spoilt[at : at + 512] = chance.randbytes(512)
    return bytes(spoilt)


def newer_schema(stage: Stage) -> None:
    """Start this version on the store of a newer one: it must refuse and leave everything as it is."""
    stage.relay.stop()
    with closing(sqlite3.connect(stage.database())) as db:
        db.execute("INSERT INTO schema_version VALUES (9999)")
        db.commit()
    stage.relay.spawn()
    if stage.relay.ended(60) == 0:
        stage.problems.append("it started on the store of a newer version")
    stage.did("refused a newer schema")
    with closing(sqlite3.connect(stage.database())) as db:
        db.execute("DELETE FROM schema_version WHERE version = 9999")
        db.commit()
    stage.start()


def terminated(stage: Stage) -> None:
    """SIGTERM with requests in flight, three times."""
    for _ in range(3):
        time.sleep(stage.chance.uniform(0.1, 0.6))
        stage.measure()
        if (status := stage.relay.stop()) != 0:
            stage.problems.append(f"SIGTERM: exit status {status}")
        stage.did("SIGTERM")
        stage.start()


def terminated_at_start(stage: Stage) -> None:
    """SIGTERM while it starts, at any moment after it has begun to listen to signals; and twice in a row."""
    for _ in range(3):
        stage.relay.stop()
        stage.disturb()
        stage.start(ready=False)
        time.sleep(stage.chance.uniform(0.3, 1.2))
        stage.relay.signal(signal.SIGTERM)
        if stage.relay.ended(60) not in (0, -signal.SIGTERM):
            stage.problems.append(f"SIGTERM during start: exit status {stage.relay.ended()}")
        stage.did("SIGTERM during start")
        stage.start()
        stage.relay.signal(signal.SIGTERM)
        stage.relay.signal(signal.SIGTERM)
        stage.relay.ended(60)
        stage.disturb()
        stage.did("SIGTERM twice")
        stage.start()


def stopped_and_continued(stage: Stage) -> None:
    """SIGSTOP, then SIGCONT."""
    for _ in range(2):
        time.sleep(0.4)
        stage.relay.signal(signal.SIGSTOP)
        stage.disturb()
        time.sleep(stage.chance.uniform(1.2, 2.5))
        stage.disturb(0)
        stage.relay.signal(signal.SIGCONT)
        stage.did("SIGSTOP")


def out_of_files(stage: Stage) -> None:
    """Let nearly no file be opened, and hold every connection one can get."""
    time.sleep(0.3)
    was = stage.limit(resource.RLIMIT_NOFILE, 64)
    with ExitStack() as held:
        for _ in range(100):
            try:
                host, _, port = stage.relay.addresses[0].rpartition(":")
                held.enter_context(socket.create_connection((host, int(port)), 0.3))
            except OSError:
                continue
        stage.did("out of file descriptors")
        stage.disturb(0)
        time.sleep(2.0)
    stage.disturb(0)
    stage.limit(resource.RLIMIT_NOFILE, was[0])


# B: PagerDuty


def pagerduty(*faults: Mapping[str, Any], lasts: float = 2.0) -> Act:
    """Have PagerDuty answer badly for a while."""

    def act(stage: Stage) -> None:
        time.sleep(0.3)
        for fault in faults:
            stage.sandbox.fault(**fault)
        stage.did("PagerDuty unwell")
        time.sleep(lasts)
        stage.sandbox.well()

    return act


def toxic(*toxics: Toxic, lasts: float = 3.0, doses: int = 3, share: float = 0.0) -> Act:
    """Hurt the way to PagerDuty by a schedule; `share` of the answers are slow, so that there is something to hurt."""

    def act(stage: Stage) -> None:
        if share:
            stage.sandbox.fault(latency=0.1, share=share)
        stage.proxy.play(schedule(toxics, stage.seed, lasts, doses))
        time.sleep(lasts)

    return act


def front_toxic(*toxics: Toxic, lasts: float = 3.0, doses: int = 3) -> Act:
    """Hurt the way from Alertmanager."""

    def act(stage: Stage) -> None:
        stage.front.play(schedule(toxics, stage.seed, lasts, doses))
        time.sleep(lasts)

    return act


def partly_sent(stage: Stage) -> None:
    """Fifty pages at once, and a kill when some of them are out."""
    stage.sandbox.fault(latency=0.1)
    stage.producer.wish = True
    before = len(stage.lines())
    until(lambda: len(stage.lines()) - before > stage.chance.randint(5, 40), 10)
    stage.kill()
    stage.sandbox.well()
    stage.start()
    stage.producer.wish = None


# C: bodies


def hostile(*bodies: tuple[str, bytes], headers: Mapping[str, str] | None = None) -> Act:
    """Post what nobody should, in between."""

    def act(stage: Stage) -> None:
        for _ in range(3):
            for what, body in bodies:
                stage.send(what, body, headers=headers)
                stage.did("hostile body")
            time.sleep(0.3)

    return act


def _message(alert: Mapping[str, Any], **more: Any) -> bytes:
    body = {"version": "4", "groupKey": "{}:{odd}", "status": "firing", "receiver": "relay", "alerts": [alert], **more}
    return json.dumps(body).encode()


def _odd(name: str, **more: Any) -> dict[str, Any]:
    labels = {"alertname": name, "team": "nobody", "severity": "warning", **more.pop("labels", {})}
    return {"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z", **more}


def slow_clients(stage: Stage) -> None:
    """Two hundred clients that never end their request."""
    host, _, port = stage.relay.addresses[0].rpartition(":")
    with ExitStack() as held:
        for number in range(200):
            client = held.enter_context(socket.create_connection((host, int(port)), 2))
            head = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
            client.sendall(head + (b"\r\n{" if number % 2 else b""))
        stage.did("slow clients")
        time.sleep(2.0)


def leaving_clients(stage: Stage) -> None:
    """Clients that are gone before their answer, or in the middle of their body."""
    host, _, port = stage.relay.addresses[0].rpartition(":")
    for number in range(60):
        body = _message(_odd(f"Leaving{number}"))
        sent = body if number % 2 else body[: len(body) // 2]
        with socket.create_connection((host, int(port)), 2) as client:
            client.sendall(b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + sent)
        stage.did("left")
        time.sleep(0.02)


def raw_rubbish(stage: Stage) -> None:
    """Bytes that are no request, and requests no server should take."""
    host, _, port = stage.relay.addresses[0].rpartition(":")
    rubbish = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        random.Random(stage.seed).randbytes(5_000),
    ]
    for sent in rubbish * 3:
        with socket.create_connection((host, int(port)), 2) as client:
            client.settimeout(2)
            try:
                client.sendall(sent)
                answer = client.recv(200)
            except OSError:
                answer = b""
        status = answer.split(b" ", 2)[1].decode(errors="replace") if answer.startswith(b"HTTP/") else "broken"
        stage.hostile.append(("rubbish", status))
        stage.did("rubbish")


# D: order and Alertmanager


def fast_toggles(stage: Stage) -> None:
    """Let everything fire and resolve while PagerDuty takes its time."""
    stage.sandbox.fault(latency=0.4, share=0.7)
    for _ in range(8):
        stage.producer.wish = not stage.producer.wish
        time.sleep(stage.chance.uniform(0.2, 0.6))
    stage.producer.wish = None
    stage.did("toggled")
    stage.sandbox.well()


def lagging_replica(stage: Stage) -> None:
    """A second Alertmanager posts what was true a while ago, and then what is true: that others resolved meanwhile."""
    for _ in range(4):
        group = stage.chance.choice(stage.producer.groups)
        built = group.body()
        if built is None:
            continue
        time.sleep(0.7)
        stage.hostile.append(("an old body", str(call("POST", f"{stage.relay.url}{group.path}", built[0]).status)))
        group.recant(built[1])
        stage.disturb(0)
        stage.did("posted an old body")


def resolved_by_hand(stage: Stage) -> None:
    """Somebody resolves incidents at PagerDuty while their alerts fire."""
    time.sleep(1.0)
    stage.producer.changing = False
    wait_for(stage.producer.settled, "everything is acknowledged")
    time.sleep(0.5)
    for alert in stage.open_alerts()[:4]:
        event = {
            "routing_key": KEYS["team"],
            "event_action": "resolve",
            "dedup_key": alert["dedup_key"],
            "client": PERSON,
        }
        call("POST", stage.sandbox.events_url, event)
        stage.did("resolved by hand")
    time.sleep(2.5)


def relay_down(stage: Stage) -> None:
    """Stop the relay for longer than Alertmanager retries one body."""
    stage.relay.stop()
    stage.did("down")
    time.sleep(4.0)
    stage.start()


# E: configuration, templates, time


def reloads(*texts: str) -> Act:
    """Reload files that are wrong: the old configuration has to stay."""

    def act(stage: Stage) -> None:
        good = stage.relay.config.read_text()
        for text in texts:
            stage.relay.config.write_text(text.replace("GOOD", good))
            if stage.relay.reload().status == 200:
                stage.problems.append(f"a bad configuration was taken: {text[:60]!r}")
            stage.did("reloaded what is wrong")
            time.sleep(0.4)
        stage.relay.config.write_text(good)
        if (answer := stage.relay.reload()).status != 200:
            stage.problems.append(f"a good configuration was refused: {answer.text[:200]}")

    return act


_ALIASES = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9)]
)


def restarts_on_bad_config(stage: Stage) -> None:
    """Start again while the file on disk is broken: the last good one counts."""
    good = stage.relay.config.read_text()
    stage.relay.config.write_text("route: {receiver: [\n")
    stage.kill()
    stage.start()
    stage.did("started with a bad file")
    time.sleep(1.0)
    stage.relay.config.write_text(good)
    if stage.relay.reload().status != 200:
        stage.problems.append("the good file was refused afterwards")


def moves_receiver(stage: Stage) -> None:
    """Reload to another routing key while incidents are open, and back."""
    time.sleep(0.7)
    for receiver in ("spare", "team"):
        stage.configure(route={"receiver": receiver}, top=_both_show())
        if (answer := stage.relay.reload()).status != 200:
            stage.problems.append(f"reload: {answer.text[:200]}")
        stage.did("moved")
        stage.disturb(0)
        time.sleep(1.2)


def _both_show() -> dict[str, Any]:
    def one(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "pagerduty_configs": [{"routing_key_file": f"{name}.key", "timeout": f"{TIMEOUT:g}s", **more}],
        }

    shows = {"details": {"shown": SHOWN}}
    return {"receivers": [one("team", **shows), one("spare", **shows), one("meta"), {"name": "nobody"}]}


def rotates_key_file(stage: Stage) -> None:
    """Empty the key's file, take it away, and put it back with a line more."""
    file, key = stage.folder / "team.key", KEYS["team"]
    for text in ("", None, f"{key}\r\n\n", f"  {key}"):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        os.utime(file, None) if file.exists() else None
        stage.did("key file changed")
        time.sleep(0.6)
    file.write_text(key + "\n")


def clock_moves(stage: Stage) -> None:
    """Start the relay with a wall clock a day ahead, and then with the right one."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    stage.relay.stop()
    usual = stage.relay.environ
    fake = {"LD_PRELOAD": str(library), "FAKETIME": "+1d", "DONT_FAKE_MONOTONIC": "1"}
    stage.relay.environ = {**usual, **fake}
    stage.relay.start()
    stage.did("a day ahead")
    time.sleep(1.5)
    stage.relay.environ = dict(usual)
    stage.relay.stop()
    stage.relay.start()
    stage.did("a day back")


def odd_dates(stage: Stage) -> None:
    """Alerts that begin in the future, in year 1, and never."""
    for began in ("2099-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "yesterday", None, 7):
        stage.send(f"startsAt {began}", _message(_odd(f"Odd{began}"[:20], startsAt=began)))
        stage.did("odd date")
    time.sleep(0.5)


# G: hostile


def flood(stage: Stage) -> None:
    """Eighty alerts that look valid, from somebody else, each in a page of its own."""
    for number in range(80):
        labels = {"alertname": f"Flood{number:02}", "instance": "i0", "severity": "warning"}
        group = Group(labels["alertname"], [Instance("i0", labels)], 0.0, "/webhook/flood", "flood")
        group.change(group.instances)
        stage.producer.add(group)
        stage.did("flooded")
    time.sleep(3.0)


_GARBLED = (
    ("nothing", b""),
    ("null", b"null"),
    ("a list", b"[]"),
    ("half a body", b'{"version": "4", "alerts": ['),
    ("a byte order mark", b"\xef\xbb\xbf{}"),
    ("UTF-16", '{"alerts": []}'.encode("utf-16")),
    ("two bodies", b"{}{}"),
)
_SPOILT = (
    ("half a surrogate", _message(_odd("Spoilt")).replace(b"Spoilt", rb"Spoilt\ud800")),
    ("a lone byte", _message(_odd("Spoilt")).replace(b"Spoilt", b"Spoilt\xff")),
    ("NUL", _message(_odd("Spoilt", labels={"instance": "a\0b"}))),
)
_NUMBERS = tuple((n, f'{{"version": "4", "truncatedAlerts": {n}, "alerts": []}}'.encode()) for n in ("NaN", "1e999"))
_HOLES = (
    ("numbers for labels", _message(_odd("Holes", labels={"code": 500, "flag": True}))),
    ("no status", _message({"labels": {"alertname": "Holes", "team": "nobody"}})),
    ("no group key", b'{"alerts": [{"status": "odd", "labels": {"alertname": "Holes", "team": "nobody"}}]}'),
    ("another version", _message(_odd("Holes"), version="7", orgId=1)),
)
_HUGE_LABELS = {f"l{n}": "x" * 100 for n in range(3_000)}
_STRANGE = (
    ("a megabyte of label", _message(_odd("Strange", labels={"big": "x" * 1_000_000}))),
    ("3,000 labels", _message(_odd("Strange", labels=_HUGE_LABELS))),
    ("HTML", _message(_odd("Strange", labels={"html": "<script>alert(1)</script>", "__proto__": "items"}))),
    ("control characters", _message(_odd("Strange", labels={"ansi": "\x1b[31mred\u202eder\u200d"}))),
)

_SLOW = {"latency": 0.3, "share": 0.5}
_CUT = (Toxic("reset_peer"), Toxic("limit_data", bytes=40), Toxic("timeout"))
_LONG = "-x" * 200
_BOMB = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(1, "kill -9 before the commit", dies_at("accept.parsed", "accept.before_commit")),
    Scenario(2, "kill -9 after the commit, before the 2xx", dies_at("accept.after_commit", "accept.before_reply")),
    Scenario(3, "kill -9 after the claim, before the call", dies_at("claim.after_commit", "send.before")),
    Scenario(
        4,
        "kill -9 after PagerDuty's answer",
        dies_at("send.after_answer", "settle.before_commit"),
        proofs=("faults", "acknowledged", DUPLICATES),
    ),
    Scenario(
        5,
        "kill -9 while pruning",
        prunes,
        setting=Setting(serve=("--data.retention=1s",)),
        allows=Allowance(forgets=True),
    ),
    Scenario(5, "kill -9 right after a reload", reloads_and_dies),
    Scenario(5, "kill -9 in a migration", migrates, allows=Allowance(forgets=True)),
    Scenario(6, "kill -9 at the nth write", dies_at_a_write, needs="strace"),
    Scenario(8, "fsync says EIO", system_call("fdatasync:error=EIO"), needs="strace"),
    Scenario(8, "fsync takes 0.3 s", system_call("fdatasync:delay_exit=300000"), needs="strace"),
    Scenario(9, "write says ENOSPC", system_call("pwrite64:error=ENOSPC"), needs="strace"),
    Scenario(9, "disk full", disk_full, needs="mount"),
    Scenario(10, "locked by another program", locked),
    Scenario(
        11,
        "database corrupt at start",
        corrupt,
        allows=Allowance(unsynced=True, forgets=True),
        proofs=("moved aside", "acknowledged"),
    ),
    Scenario(14, "older version on a newer store", newer_schema),
    Scenario(15, "SIGTERM under load", terminated),
    Scenario(15, "SIGTERM during start, and twice", terminated_at_start),
    Scenario(16, "SIGSTOP and SIGCONT", stopped_and_continued, allows=Allowance(late=True)),
    Scenario(17, "out of file descriptors", out_of_files),
    Scenario(18, "500, 502, 503, 504", pagerduty(*({"status": s, "share": 0.3} for s in (500, 502, 503, 504)))),
    Scenario(18, "503 to everything", pagerduty({"status": 503})),
    Scenario(
        18,
        "503 though it was taken",
        pagerduty({"status": 503, "ingest": True, "share": 0.5}),
        proofs=("faults", "acknowledged", DUPLICATES),
    ),
    Scenario(19, "429 with Retry-After", pagerduty({"status": 429, "retry_after": 1, "share": 0.5})),
    Scenario(19, "429 without Retry-After", pagerduty({"status": 429})),
    Scenario(
        19,
        "a real limit of 15 calls in 3 s",
        pagerduty({"latency": 0.05}, lasts=3),
        setting=Setting(
            sandbox=("--rate.events=15", "--rate.within=3"), all={"budget": {"events": 12, "within": "3s"}}
        ),
        allows=Allowance(results=frozenset({"throttled"})),
    ),
    Scenario(20, "400 about some events", pagerduty({"status": 400, "share": 0.3}), allows=Allowance(dead=True)),
    Scenario(
        20,
        "400 about every event, with a fallback",
        pagerduty({"status": 400, "key": "team", "action": "trigger"}),
        setting=Setting(receiver={"fallback": "spare"}),
        allows=Allowance(both=True),
    ),
    Scenario(21, "401, 403, 404 and 418", pagerduty(*({"status": s, "count": 2} for s in (401, 403, 404, 418)))),
    Scenario(21, "a redirect", pagerduty({"status": 302, "location": "http://127.0.0.1:1/", "count": 3})),
    Scenario(22, "202 with rubbish for a body", pagerduty({"body": "<html>" * 30_000, "share": 0.5})),
    Scenario(22, "202 with nothing for a body", pagerduty({"body": "", "share": 0.5})),
    Scenario(23, "answers late", toxic(Toxic("latency", latency=2.5, jitter=1.0, toxicity=0.6), lasts=4.0)),
    Scenario(23, "answers drip", toxic(Toxic("slicer", average_size=4, size_variation=2, delay=0.05), doses=2)),
    Scenario(23, "no bandwidth", toxic(Toxic("bandwidth", rate=0.2), Toxic("bandwidth", UPSTREAM, rate=8))),
    Scenario(
        23,
        "the network is gone in the middle of calls",
        toxic(Toxic("timeout"), Toxic("timeout", timeout=0.3), share=0.5),
        proofs=("faults", "acknowledged", DUPLICATES),
    ),
    Scenario(24, "connections reset before the request", toxic(Toxic("reset_peer", UPSTREAM), doses=5)),
    Scenario(
        24,
        "connections cut in the answer",
        toxic(*_CUT, share=0.3),
        proofs=("faults", "acknowledged", DUPLICATES),
    ),
    Scenario(24, "keep-alive closed under us", toxic(Toxic("limit_data", bytes=200), Toxic("limit_data", bytes=500))),
    Scenario(25, "nothing listens there", toxic(Toxic("down"), doses=2)),
    Scenario(
        27,
        "202, and PagerDuty lost it",
        pagerduty({"forget": True, "action": "trigger", "share": 0.3}),
        setting=Setting(route={"repeat_interval": "2s"}, repeats=0.5),
        allows=Allowance(repeats=2.0),
    ),
    Scenario(28, "kill -9 when some of fifty are sent", partly_sent, setting=Setting(groups=50)),
    Scenario(29, "the key is unknown", pagerduty({"status": 400, "body": "Invalid routing key", "count": 3})),
    Scenario(31, "garbled bodies", hostile(*_GARBLED)),
    Scenario(32, "broken text", hostile(*_SPOILT)),
    Scenario(34, "numbers that are none", hostile(*_NUMBERS)),
    Scenario(35, "100,000 levels deep", hostile(("deep", b'{"alerts":' + b"[" * 100_000), ("deeper", b"[" * 900_000))),
    Scenario(37, "bodies with holes", hostile(*_HOLES)),
    Scenario(41, "a body over the limit", hostile(("70 MiB", b" " * (70 << 20)))),
    Scenario(
        42,
        "a gzip bomb",
        hostile(("bomb", gzip.compress(b" " * (50 << 20))), headers={"Content-Encoding": "gzip"}),
    ),
    Scenario(43, "two hundred slow clients", slow_clients),
    Scenario(44, "clients that leave", leaving_clients),
    Scenario(44, "Alertmanager's connections are cut", front_toxic(Toxic("reset_peer"), Toxic("limit_data", bytes=60))),
    Scenario(44, "Alertmanager waits too long", front_toxic(Toxic("timeout", timeout=0.5), Toxic("down"))),
    Scenario(45, "rubbish on the wire", raw_rubbish),
    Scenario(46, "strange labels", hostile(*_STRANGE)),
    Scenario(48, "two replicas post at once", pagerduty(_SLOW), setting=Setting(replicas=2)),
    Scenario(49, "resolves overtake triggers", fast_toggles),
    Scenario(50, "a replica that lags", lagging_replica, allows=Allowance(unsynced=True)),
    Scenario(52, "flapping", pagerduty({"latency": 0.05}), setting=Setting(restless=1.0), length=4.0),
    Scenario(53, "two sources, the same group keys", pagerduty(_SLOW), setting=Setting(groups=6, staging=6)),
    Scenario(
        54,
        "a dedup key over 255",
        pagerduty(_SLOW),
        setting=Setting(most=1, key_text=_LONG, route={"group_by": None, "dedup_key": "{labels.alertname}" + _LONG}),
    ),
    Scenario(55, "members and severities change", pagerduty(_SLOW), setting=Setting(most=6, restless=0.8)),
    Scenario(
        56,
        "resolved by hand while it fires",
        resolved_by_hand,
        setting=Setting(route={"repeat_interval": "1s"}, repeats=0.5),
        allows=Allowance(repeats=1.0),
    ),
    Scenario(58, "the relay is down", relay_down),
    Scenario(59, "reload of a broken file", reloads("route: [", "GOOD\nrout: {}", "GOOD\nreceivers: 7")),
    Scenario(60, "restart with a broken file", restarts_on_bad_config),
    Scenario(
        61, "another routing key", moves_receiver, setting=Setting(top=_both_show()), allows=Allowance(moves=True)
    ),
    Scenario(64, "YAML that never ends", reloads(_ALIASES, "GOOD\nroute: {receiver: team}", "a: &a [*a]")),
    Scenario(
        65,
        "a regular expression without end",
        pagerduty(_SLOW),
        setting=Setting(
            route={"routes": [{"matchers": ['alertname=~"(a+)+$|(Group|G.*)*x"'], "receiver": "nobody"}]},
        ),
    ),
    Scenario(66, "a template that fails", pagerduty(_SLOW), setting=Setting(entry={"description": "{{ 1 / 0 }}"})),
    Scenario(
        67,
        "a template without end",
        pagerduty(_SLOW),
        setting=Setting(entry={"description": _BOMB}, groups=3, restless=0.1),
    ),
    Scenario(68, "the wall clock moves a day", clock_moves, needs="faketime"),
    Scenario(69, "odd dates", odd_dates),
    Scenario(70, "the key's file changes", rotates_key_file),
    Scenario(
        79,
        "a flood from somebody else",
        flood,
        setting=Setting(all={"storm": {"pages": 20, "within": "2s"}}),
        allows=Allowance(folds=True),
    ),
)
"""Every row that can be brought about against a running relay. Rows 7 (power cuts) and 31 to 47 (a million bodies)
have targets of their own; 30 and 57 wait for PagerDuty's webhooks, 71 to 75 for a second replica. Facts about rooms,
tested there: 12, 13, 26, 36, 38, 40, 47, 51, 62, 63, 76 to 78."""
