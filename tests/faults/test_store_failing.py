"""The store fails under a running relay, in every way a disk can: pages arrive all the same, once, and end well."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import Scene, base_key
from tests.acceptance.programs import Relay, wait_for

pytestmark = pytest.mark.acceptance

STRACE = "apt-get install -y --no-install-recommends strace"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A sandbox, and whatever else a story starts."""
    found = Scene(tmp_path).stage()
    try:
        yield found
    finally:
        found.put_away()
    for program in found.programs:
        assert "Traceback" not in program.output(), f"{program.name} logged a traceback:\n{program.output()[-6_000:]}"


def fires(name: str, *instances: str) -> object:
    return body(name, *(alert(labels(name, instance)) for instance in instances or ("a",)))


def ends(name: str) -> object:
    return body(name, alert(labels(name), firing=False))


def database(relay: Relay) -> Path:
    return relay.storage / "pagerelay.db"


# What breaks a store, and what mends it


@contextmanager
def locked(relay: Relay) -> Iterator[None]:
    """Another program holds the write lock, as a backup that went wrong does."""
    other = sqlite3.connect(database(relay), isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def full(relay: Relay) -> Iterator[None]:
    """No file of the relay may grow: to SQLite that is a disk without room."""
    before = resource.prlimit(relay.pid, resource.RLIMIT_FSIZE)
    log = Path(f"{database(relay)}-wal")
    resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def traced(relay: Relay, fault: str) -> Iterator[None]:
    """The kernel says no to one kind of system call."""
    if shutil.which("strace") is None:
        pytest.skip(f"!! NOT TESTED with faults of system calls, there is no strace here: {STRACE}")
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(relay.pid), "-e", f"inject={fault}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            wait_for(lambda: _is_traced(relay.pid), "strace is attached")
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)


def _is_traced(pid: int) -> bool:
    status = [Path(f"/proc/{pid}/task/{task}/status").read_text() for task in os.listdir(f"/proc/{pid}/task")]
    return all("TracerPid:\t0\n" not in one for one in status)


def cannot_write(relay: Relay) -> AbstractContextManager[None]:
    """The disk is full."""
    return traced(relay, "pwrite64:error=ENOSPC")


def cannot_sync(relay: Relay) -> AbstractContextManager[None]:
    """The disk fails: what was written does not get there."""
    return traced(relay, "fdatasync,fsync:error=EIO")


Fault = Callable[[Relay], AbstractContextManager[None]]


def test_while_the_store_takes_no_writes_pages_go_out_past_it(scene: Scene) -> None:
    """Locked by another program, full, failing at each write, failing at each sync: one after the other."""
    relay = scene.relay()
    for fault in (locked, full, cannot_write, cannot_sync):
        _pages_past_the_store(scene, relay, fault)


def _pages_past_the_store(scene: Scene, relay: Relay, fault: Fault) -> None:
    """The page arrives, the answer is 503, nobody is paged twice, and in the end the ledger and PagerDuty agree."""
    before, down, other = (f"{word} {fault.__name__}" for word in ("Before", "Down", "Other"))
    keys = [base_key(name) for name in (before, down, other)]
    assert relay.post(fires(before)).status == 200
    scene.shows(keys[0])
    pages = relay.metric("pagerelay_emergency_pages_total")

    with fault(relay):
        assert [relay.post(fires(down, "a", "b")).status for _ in range(3)] == [503, 503, 503]
        wait_for(lambda: keys[1] in scene.sandbox.open(), "the page goes out past the store")
        assert relay.post(ends(before)).status == 503
        assert relay.post(fires(other)).status == 503
        scene.shows(*keys)
        assert not relay.ready()
        assert relay.metric("pagerelay_emergency_pages_total") == pages + 2
        assert relay.metric("pagerelay_emergency_exit_in_use") == 1
        assert scene.told(keys[1]) == ["triggered"]

    wait_for(relay.ready, "the store takes writes again", 20)
    assert {page["dedup_key"] for page in relay.pages() if page["wanted"] == "open"} == set(keys)
    assert relay.post(fires(down, "a", "b")).status == 200
    scene.settled(relay)
    assert scene.told(keys[1]) in (["triggered"], ["triggered", "triggered again"])
    assert relay.post(ends(before)).status == 200
    assert relay.post(ends(other)).status == 200
    assert relay.post(body(down, *(alert(labels(down, one), firing=False) for one in "ab"))).status == 200
    scene.shows()
    scene.settled(relay)
    assert [len(scene.incidents(key)) for key in keys] == [1, 1, 1]
    assert relay.metric("pagerelay_emergency_exit_in_use") == 0


def test_what_waits_in_a_store_that_takes_no_writes_goes_out_past_it(scene: Scene) -> None:
    """PagerDuty was away when it was accepted; now the store is, and the page is read from it."""
    relay = scene.relay()
    scene.sandbox.fault(status=429, retry_after=5, count=1)
    assert relay.post(fires("Waits")).status == 200
    wait_for(lambda: 429 in {line["status"] for line in scene.sandbox.requests()}, "it was tried")

    with locked(relay):
        wait_for(lambda: not relay.ready(), "the relay sees that the store is locked")
        scene.shows(base_key("Waits"))
        assert relay.metric("pagerelay_emergency_pages_total") == 1

    wait_for(relay.ready, "the store takes writes again", 20)
    scene.settled(relay)
    assert relay.post(ends("Waits")).status == 200
    scene.shows()
    assert len(scene.incidents(base_key("Waits"))) == 1


def test_a_relay_killed_while_it_pages_past_the_store_pages_the_same_incident_again(scene: Scene) -> None:
    relay = scene.relay()
    with cannot_write(relay):
        assert relay.post(fires("Down")).status == 503
        scene.shows(base_key("Down"))
        relay.kill()
    relay.start()

    assert relay.post(fires("Down")).status == 200
    scene.settled(relay)
    assert len(scene.told(base_key("Down"))) == 2
    assert relay.post(ends("Down")).status == 200
    scene.shows()
    assert len(scene.incidents(base_key("Down"))) == 1


def test_a_database_that_is_damaged_or_deleted_under_the_relay_is_mended(scene: Scene) -> None:
    """What was open stays known: its resolve closes it."""
    relay = scene.relay(_with_meta_receiver(scene))
    file = database(relay)
    assert relay.post(fires("First")).status == 200
    scene.shows(base_key("First"))
    scene.settled(relay)

    file.unlink()
    wait_for(file.exists, "the database is written anew")
    assert relay.post(ends("First")).status == 200
    _quiet(scene)
    assert relay.post(fires("Second")).status == 200
    wait_for(lambda: base_key("Second") in scene.sandbox.open(), "it pages")

    with file.open("r+b") as damaged:
        damaged.write(bytes(file.stat().st_size))
    wait_for(
        lambda: relay.post(fires("Third")).status == 200 and base_key("Third") in scene.sandbox.open(),
        "a fresh one takes its place, and it pages again",
    )
    wait_for(lambda: list(relay.storage.glob("pagerelay.db.corrupt-*Z")), "the damaged one is moved aside")
    wait_for(lambda: "pagerelay/store_corrupt" in scene.sandbox.open(), "it says so itself")


def _quiet(scene: Scene) -> None:
    wait_for(lambda: base_key("First") not in scene.sandbox.open(), "the resolve arrives")


def _with_meta_receiver(scene: Scene) -> Path:
    return scene.config(top={"global": {"pagerduty_url": scene.sandbox.events_url, "meta_receiver": "other"}})


def test_a_database_that_is_garbage_at_the_start_is_moved_aside_and_said(scene: Scene) -> None:
    config = _with_meta_receiver(scene)
    relay = scene.relay(config, start=False)
    relay.storage.mkdir()
    database(relay).write_bytes(b"garbage" * 10_000)
    relay.start()

    assert relay.post(fires("Down")).status == 200
    wait_for(lambda: base_key("Down") in scene.sandbox.open(), "it pages")
    wait_for(lambda: "pagerelay/store_corrupt" in scene.sandbox.open(), "it says so itself")
    (aside,) = relay.storage.glob("pagerelay.db.corrupt-*")
    assert aside.read_bytes().startswith(b"garbage")


def test_a_relay_started_on_a_locked_store_waits_for_it(scene: Scene) -> None:
    relay = scene.relay()
    relay.stop()
    with locked(relay):
        relay.spawn()
        wait_for(lambda: "it is tried again" in relay.output(), "it says that the store is locked")
        assert not relay.ready()
        assert relay.running
    wait_for(relay.ready, "it serves")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root to become somebody else")
@pytest.mark.parametrize("whose", ["directory", "file"])
def test_a_store_that_belongs_to_somebody_else_says_what_to_do(tmp_path: Path, whose: str) -> None:
    """Nothing can be kept there, so that it ends with status 1."""
    storage = tmp_path / "storage"
    storage.mkdir()
    storage.chmod(0o755 if whose == "directory" else 0o777)
    if whose == "file":
        (storage / "pagerelay.db").touch(0o600)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    config = tmp_path / "relay.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    serve = [sys.executable, "-m", "relay", "serve", f"--config.file={config}", f"--storage.path={storage}"]
    ended = subprocess.run(
        [*nobody, *serve, "--web.listen-address=127.0.0.1:0"], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 1
    assert f"{storage}" in ended.stderr
    assert "chown -R" in ended.stderr
    assert "Traceback" not in ended.stderr
