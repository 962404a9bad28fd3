"""The emergency exit by itself: what it pages while the store cannot be written, and what it writes once it can."""

import asyncio
import errno
import io
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from relay.alert import DAY, HOUR, MINUTE, SECOND, Instant
from relay.config import load, remembered
from relay.emergency import Emergency
from relay.errors import StoreError
from relay.event import Action, Delivered, Outcome, Retry
from relay.ingress.alertmanager import parse
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane, Page, State, Wanted
from relay.recall import Recall
from relay.rules import slate
from relay.rules.classify import classify
from relay.rules.delivery import settle, start
from relay.rules.ledger import Attempt, Ledger, Lookup, Plan, Settled, Want
from relay.rules.matchers import Matcher
from relay.rules.reload import look_again, place_again, rejudge, waits_for
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Silence, Silences
from relay.rules.staleness import Listening
from relay.store import Notebook, Noted, SqliteStore, connect
from tests.integration.house import CONFIG, NOON, alert, as_bytes, message

ROUTE_LOW = """\
    - matchers: ['severity="warning"']
      receiver: low
"""


@dataclass
class Exit:
    """An emergency exit, a store, and a clock."""

    directory: Path
    store: SqliteStore
    book: Rulebook
    now: Instant = NOON
    silences: Silences = field(default_factory=Silences)
    log: io.StringIO = field(default_factory=io.StringIO)
    emergency: Emergency = field(init=False)
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))

    def __post_init__(self) -> None:
        async def prove() -> None:
            await self.store.remember_integrations(remembered(self.book.rules))

        self.emergency = Emergency(
            self.store,
            clock=lambda: self.now,
            silences=lambda: self.silences,
            prove=prove,
            metrics=self.metrics,
            log=Log(lambda: self.now, stream=self.log),
            beside=Notebook(self.directory),
        )

    async def page(self, *alerts: Mapping[str, Any], key: str = "group") -> None:
        """Have a body paged."""
        draft = classify(parse(as_bytes(message(*map(dict, alerts), key=key)), ""), self.book)
        await self.emergency.page(draft, self.book)

    async def deliver(self, outcome: Outcome | None = None) -> list[tuple[str, str]]:
        """Carry every due page to PagerDuty; return (severity, dedup key) of each call, in order."""
        wants = [Want(one, lane, 500) for one in self.book.rules.integrations for lane in Lane]
        claims = await self.emergency.claim(wants, self.now, lambda page: start(page, self.now, self.book, 10 * SECOND))
        for claim in claims:
            assert claim.attempt.action is Action.TRIGGER
            assert claim.members, "a page shows who fires"

            def done(page: Page, attempt: Any = claim.attempt) -> Any:
                taken = outcome or Delivered()
                return settle(page, attempt, taken, self.now, jitter=0.5, digest="d", book=self.book)

            await self.emergency.settle(claim.attempt, done, self.now)
        return [(claim.page.severity.value, claim.page.group_key) for claim in claims]

    async def ledger(self) -> Mapping[str, Page]:
        """Every page of the store, by the name of its group."""
        return {page.group_key: page for page in await self.store.pages(limit=1_000)}

    def locked(self) -> "closing[sqlite3.Connection]":
        """Hold the store's write lock until the end."""
        other = sqlite3.connect(self.directory / connect.FILE, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN EXCLUSIVE")
        return closing(other)


@pytest.fixture
async def exit_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Exit]:
    monkeypatch.setattr(connect, "_BUSY_SECONDS", 0.05)
    book = read(tmp_path, CONFIG)
    store = await SqliteStore.open(tmp_path)
    yield Exit(tmp_path, store, book)
    await store.close()


def read(directory: Path, text: str) -> Rulebook:
    (directory / "relay.yml").write_text(text)
    loaded = load(directory / "relay.yml", {})
    return Rulebook(loaded.rules, loaded.keys)


async def blind(lookup: Lookup) -> Ledger:
    """See nothing of the store."""
    return Ledger({}, {}, {})


async def in_step(exit_: Exit) -> list[tuple[Action, int]]:
    """Let the store's own mail room and clockwork do what is due; return each call and its page's place in a chain."""
    wants = [Want(one, lane, 9) for one in exit_.book.rules.integrations for lane in Lane]
    claims = await exit_.store.claim(wants, exit_.now, lambda page: start(page, exit_.now, exit_.book, SECOND))
    for claim in claims:

        def done(page: Page, attempt: Attempt = claim.attempt) -> Settled:
            return settle(page, attempt, Delivered(), exit_.now, jitter=0, digest="", book=exit_.book)

        await exit_.store.settle(claim.attempt, done, exit_.now)
    for number in await exit_.store.due_for_judgement(exit_.now, 9):
        lookup = waits_for(await exit_.store.look(Lookup(pages=(number,), whole=(number,))), number)

        def again(ledger: Ledger, number: int = number) -> Plan:
            return look_again(number, ledger, exit_.now, exit_.book)

        await exit_.store.keep(lookup, again)
    return [(claim.attempt.action, claim.page.seq) for claim in claims]


def named(name: str) -> str:
    return f'{{}}:{{alertname="{name}"}}'


async def test_each_page_goes_once_and_is_written_as_unknown(exit_: Exit) -> None:
    for _ in range(3):
        await exit_.page(alert("A", instance="1"), alert("A", instance="2"), alert("B", severity="page"))
    assert sorted(await exit_.deliver()) == [("critical", named("A")), ("error", named("B"))]
    await exit_.page(alert("A", instance="1"), alert("A", instance="2"), alert("B", severity="page"))
    assert await exit_.deliver() == []

    assert await exit_.emergency.recover(exit_.book) == 2
    pages = await exit_.ledger()
    assert {name: (page.wanted, page.delivered, page.lane) for name, page in pages.items()} == {
        named("A"): (Wanted.OPEN, State.UNKNOWN_TRIGGER, Lane.CRITICAL),
        named("B"): (Wanted.OPEN, State.UNKNOWN_TRIGGER, Lane.ERROR),
    }
    assert pages[named("A")].firing == 2
    assert not exit_.emergency.in_use


async def test_once_all_is_written_down_whoever_works_with_the_store_is_told(exit_: Exit) -> None:
    told: list[bool] = []
    exit_.emergency.written = lambda: told.append(exit_.emergency.in_use)
    await exit_.page(alert("A"))
    await exit_.deliver()

    with exit_.locked():
        assert await exit_.emergency.look_after("it is locked", exit_.book) is not None
    assert told == []

    assert await exit_.emergency.look_after(None, exit_.book) is None
    assert told == [False]


async def test_what_was_paged_is_written_down_when_the_relay_ends(exit_: Exit) -> None:
    await exit_.page(alert("A"))
    await exit_.deliver()

    with exit_.locked():
        await exit_.emergency.leave(exit_.book)
    assert "what was paged past the store is not written down" in exit_.log.getvalue()
    assert await exit_.ledger() == {}

    await exit_.emergency.leave(exit_.book)
    assert [page.delivered for page in (await exit_.ledger()).values()] == [State.UNKNOWN_TRIGGER]


def after_a_kill(exit_: Exit) -> Exit:
    """The exit of the next relay: all it has is what is on the disk."""
    return Exit(exit_.directory, exit_.store, exit_.book, now=exit_.now + MINUTE)


async def resolved(exit_: Exit, *names: str) -> None:
    """Have Alertmanager say that alerts are over."""
    intake = Intake(
        exit_.store, exit_.book, Recall(), clock=lambda: exit_.now, wake=lambda: None, metrics=exit_.metrics,
        log=Log(lambda: exit_.now, stream=exit_.log),
    )  # fmt: skip
    alerts = [alert(name, status="resolved") for name in names]
    await intake.accept(as_bytes(message(*alerts, key="group")), "")


async def test_what_was_paged_when_the_relay_was_killed_is_resolved_by_the_next_one(exit_: Exit) -> None:
    with exit_.locked():
        await exit_.page(alert("A"), alert("B"))
        await exit_.deliver()

    later = after_a_kill(exit_)
    await later.emergency.resume(later.book)
    pages = await later.ledger()
    assert {name: (page.wanted, page.delivered) for name, page in pages.items()} == {
        named("A"): (Wanted.OPEN, State.UNKNOWN_TRIGGER),
        named("B"): (Wanted.OPEN, State.UNKNOWN_TRIGGER),
    }
    assert not later.emergency.in_use

    await resolved(later, "A", "B")
    later.now += MINUTE
    assert [action for action, _ in await in_step(later)] == [Action.RESOLVE, Action.RESOLVE]


async def test_a_new_alert_in_a_page_that_was_closed_is_held_as_firing_after_a_kill(exit_: Exit) -> None:
    await exit_.page(alert("A"))
    await exit_.deliver()
    await exit_.emergency.recover(exit_.book)
    await resolved(exit_, "A")
    exit_.now += MINUTE
    assert await in_step(exit_) == [(Action.RESOLVE, 1)]
    with exit_.locked():
        await exit_.page(alert("A", instance="new"))
        await exit_.deliver()

    later = after_a_kill(exit_)
    await later.emergency.resume(later.book)

    page = (await later.ledger())[named("A")]
    assert (page.wanted, page.delivered, page.firing) == (Wanted.OPEN, State.UNKNOWN_TRIGGER, 1)


async def test_what_is_in_the_store_again_is_not_read_a_second_time(exit_: Exit) -> None:
    await exit_.page(alert("A"))
    await exit_.deliver()
    assert await exit_.emergency.look_after("it was locked", exit_.book) is None
    await resolved(exit_, "A")
    exit_.now += MINUTE
    await in_step(exit_)

    later = after_a_kill(exit_)
    await later.emergency.resume(later.book)

    assert [page.wanted for page in (await later.ledger()).values()] == [Wanted.CLOSED]


async def test_the_next_relay_waits_for_the_store_and_forgets_nothing_meanwhile(exit_: Exit) -> None:
    await exit_.page(alert("A"))
    await exit_.deliver()

    later = after_a_kill(exit_)
    with exit_.locked(), pytest.raises(StoreError):
        await later.emergency.resume(later.book)
    await later.emergency.resume(later.book)

    assert [page.delivered for page in (await later.ledger()).values()] == [State.UNKNOWN_TRIGGER]


async def test_pages_go_out_where_the_disk_takes_no_notes(exit_: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Notebook, noted: Sequence[Noted]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Notebook, "append", full)
    await exit_.page(alert("A"))

    assert await exit_.deliver() == [("critical", named("A"))]
    assert "stays open at PagerDuty" in exit_.log.getvalue()


def test_notes_that_break_off_lose_only_what_was_not_sent(tmp_path: Path) -> None:
    notes, page = Notebook(tmp_path), Page(id=1, integration="i", dedup_key="k", source="", group_key="g", receiver="r")
    notes.append([Noted(page, ())])
    with (tmp_path / "past-the-store.jsonl").open("ab") as opened:
        opened.write(b'{"page": {"id"')
    notes.append([Noted(replace(page, id=2), ())])

    assert [one.page.id for one in notes.read()] == [1, 2]
    notes.clear()
    assert notes.read() == []


async def test_what_failed_is_tried_again_and_what_was_never_taken_is_not_written(exit_: Exit) -> None:
    await exit_.page(alert("A"))
    refused = Retry("rateLimited", after=5 * SECOND, ambiguous=False)
    assert await exit_.deliver(refused) == [("critical", named("A"))]
    assert await exit_.deliver() == []
    assert await exit_.emergency.recover(exit_.book) == 0

    await exit_.page(alert("A"))
    await exit_.deliver(Retry("timeout", ambiguous=True))
    exit_.now += 2 * SECOND
    assert await exit_.deliver() == [("critical", named("A"))]
    assert await exit_.emergency.recover(exit_.book) == 1


async def test_what_nobody_names_again_is_stale_one_repeat_interval_after_the_recovery(exit_: Exit) -> None:
    await exit_.page(alert("A"), alert("B"))
    await exit_.deliver()
    exit_.now += HOUR
    await exit_.emergency.recover(exit_.book)
    held = {one.id: one for one in await exit_.store.firing(-1, 10)}
    assert {one.stale_after for one in held.values()} == {4 * HOUR}
    assert {one.judge_at for one in held.values()} == {exit_.now + 4 * HOUR}

    intake = Intake(
        exit_.store, exit_.book, Recall(), clock=lambda: exit_.now, wake=lambda: None, metrics=exit_.metrics,
        log=Log(lambda: exit_.now, stream=exit_.log),
    )  # fmt: skip
    await intake.accept(as_bytes(message(alert("A"), key="group")), "")
    exit_.now += 4 * HOUR
    again = place_again(await exit_.store.firing(-1, 10), exit_.book)
    listening = Listening(NOON, {"": exit_.now}, {"": NOON})
    await exit_.store.keep(
        again.lookup, lambda ledger: rejudge(again, ledger, exit_.now, exit_.book, listening=listening)
    )

    stale = {one.raw: one.stale_at for one in await exit_.store.firing(-1, 10)}
    assert sorted(bool(at) for raw, at in stale.items() if b'"A"' in raw) == [False]
    assert sorted(bool(at) for raw, at in stale.items() if b'"B"' in raw) == [True]
    assert all(page.wanted is Wanted.OPEN for page in (await exit_.ledger()).values())


async def test_what_is_paged_during_the_recovery_is_written_as_well(exit_: Exit) -> None:
    await exit_.page(alert("A"))
    await exit_.deliver()
    keep, late = exit_.store.keep, [alert("Late")]

    async def meanwhile(lookup: Lookup, judge: Any) -> Any:
        if late:
            await exit_.page(late.pop())
            await exit_.deliver()
        return await keep(lookup, judge)

    exit_.store.keep = meanwhile  # type: ignore[method-assign]

    assert await exit_.emergency.recover(exit_.book) == 2
    assert set(await exit_.ledger()) == {named("A"), named("Late")}


async def test_silences_count_though_the_store_cannot_be_read(exit_: Exit) -> None:
    matcher = Matcher("=", "alertname", "A")
    exit_.silences = Silences([Silence("s", (matcher,), NOON - MINUTE, NOON + DAY, NOON - MINUTE, "anna", "disk swap")])
    await exit_.store.close()
    await exit_.page(alert("A"), alert("B"))

    assert await exit_.deliver() == [("critical", named("B"))]
    assert "the store cannot even be read" in exit_.log.getvalue()


async def test_an_alert_the_store_knows_is_not_paged_again(exit_: Exit) -> None:
    intake = Intake(
        exit_.store, exit_.book, Recall(), clock=lambda: exit_.now, wake=lambda: None, metrics=exit_.metrics,
        log=Log(lambda: exit_.now, stream=exit_.log), past_the_store=exit_.emergency.page,
    )  # fmt: skip
    await intake.accept(as_bytes(message(alert("A"), key="group")), "")
    wants = [Want(one, lane, 9) for one in exit_.book.rules.integrations for lane in Lane]
    (claim,) = await exit_.store.claim(wants, exit_.now, lambda page: start(page, exit_.now, exit_.book, SECOND))
    await exit_.store.settle(
        claim.attempt,
        lambda page: settle(page, claim.attempt, Delivered(), exit_.now, jitter=0, digest="", book=exit_.book),
        exit_.now,
    )

    intake._recall = Recall()  # as after a restart: only the store knows it
    with exit_.locked():
        for _ in range(2):
            with pytest.raises(StoreError, match="locked"):
                await intake.accept(as_bytes(message(alert("A"), alert("C"), key="group")), "")
        assert await exit_.deliver() == [("critical", named("C"))]
        assert await exit_.emergency.look_after(intake.trouble, exit_.book) is not None
    assert await exit_.emergency.look_after(intake.trouble, exit_.book) is None

    pages = await exit_.ledger()
    assert pages[named("A")].delivered is State.OPEN
    assert pages[named("C")].delivered is State.UNKNOWN_TRIGGER


@pytest.mark.parametrize("known", ["nothing", "the first", "the rise"])
@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "ends at once"])
async def test_what_got_worse_meanwhile_is_one_incident_in_the_end(exit_: Exit, known: str, ends: bool) -> None:
    """A rise opens a linked page past the store; it is the same to the store, which may know more than it admitted."""
    exit_.book = read(exit_.directory, CONFIG.replace(ROUTE_LOW, ""))
    intake = Intake(
        exit_.store, exit_.book, Recall(), clock=lambda: exit_.now, wake=lambda: None, metrics=exit_.metrics,
        log=Log(lambda: exit_.now, stream=exit_.log),
    )  # fmt: skip
    look, exit_.store.look = exit_.store.look, blind  # type: ignore[method-assign]
    first, rise = [alert("A", severity="warning")], [alert("A", severity="warning"), alert("A", instance="2")]
    await exit_.page(*first)
    assert [one for one, _ in await exit_.deliver()] == ["warning"]
    exit_.now += MINUTE
    await exit_.page(*rise)
    assert [one for one, _ in await exit_.deliver()] == ["critical"]
    if known != "nothing":  # a commit that failed, and is there all the same
        await intake.accept(as_bytes(message(*(first if known == "the first" else rise), key="group")), "")
    exit_.store.look = look  # type: ignore[method-assign]
    await exit_.emergency.recover(exit_.book)

    pages = {page.seq: page for page in await exit_.store.pages(limit=10)}
    assert {seq: (page.firing, page.delivered, page.handed_over) for seq, page in pages.items()} == {
        1: (0, State.UNKNOWN_TRIGGER, True),
        2: (2, State.UNKNOWN_TRIGGER, False),
    }
    if ends:
        over = [{**one, "status": "resolved", "endsAt": "2026-11-23T12:01:00Z"} for one in rise]
        await intake.accept(as_bytes(message(*over, key="group")), "")
    held = {1, 2}
    for _ in range(5):
        exit_.now += MINUTE
        for action, seq in await in_step(exit_):
            assert (action, seq) != (Action.TRIGGER, 1), "people are told of the rise twice"
            (held.discard if action is Action.RESOLVE else held.add)(seq)
    assert held == (set() if ends else {2})


async def test_memory_is_bounded_and_what_it_cannot_hold_is_still_paged(
    exit_: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slate, "MOST_ALERTS", 50)
    sent = 0
    for number in range(30):
        await exit_.page(*(alert(f"N{number}-{n}") for n in range(10)))
        sent += len(await exit_.deliver())

    assert sent == 300
    assert len(exit_.emergency._slate.pages) <= 60
    await exit_.emergency.recover(exit_.book)
    assert "more was paged" in exit_.log.getvalue()


async def test_a_store_that_talks_nonsense_is_not_believed(exit_: Exit) -> None:
    async def nonsense(lookup: Lookup) -> Ledger:
        return Ledger({}, dict.fromkeys(lookup.pages), {})  # type: ignore[arg-type]

    exit_.store.look = nonsense  # type: ignore[method-assign]
    await exit_.page(alert("A"))

    assert await exit_.deliver() == [("critical", named("A"))]


async def test_a_page_answers_before_pagerduty_does(exit_: Exit) -> None:
    """Nothing is sent by the judgement itself: the mail room is told, and the sender has its answer."""
    woken = asyncio.Event()
    exit_.emergency.wake = woken.set
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await exit_.page(alert("A"))
    assert woken.is_set()
    heads: Sequence[tuple[str, Lane, Instant]] = await exit_.emergency.heads(exit_.now)
    assert [lane for _, lane, _ in heads] == [Lane.CRITICAL]
