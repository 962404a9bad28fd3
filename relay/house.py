"""The house: every room that is open while the relay runs, and how they are wired to one another."""

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from relay import failpoints
from relay.alert import Duration, Instant
from relay.alertmanager import AlertmanagerClient
from relay.answers import Answers
from relay.answers.alerts import AlertAnswers
from relay.bell import Bell
from relay.binding import KeyRing
from relay.changes import Changes
from relay.config import remembered
from relay.confirming import Confirming
from relay.dispatcher import Dispatcher
from relay.emergency import Emergency
from relay.evidence import Evidence
from relay.intake import Intake
from relay.letters import Letters
from relay.logs import Log
from relay.metrics import Metrics
from relay.pagerduty.connection import Resolver
from relay.pagerduty.events import EventSender
from relay.pagerduty.rest import Rest
from relay.pausing import EVERYTHING, Pausing
from relay.pulse import Pulse
from relay.quieting import Quieting
from relay.recall import Recall
from relay.reconciling import Reconciling
from relay.rendering import Renderer
from relay.rendering.aside import Aside
from relay.returns import Returns
from relay.rollcall import RollCall
from relay.rules.rulebook import Rulebook
from relay.scheduler import Scheduler
from relay.settings import Settings
from relay.silencing import Silencer
from relay.store import Notebook, SqliteStore
from relay.storms import Storms
from relay.surveying import Surveyor
from relay.watchkeeper import Watchkeeper


@dataclass(frozen=True, slots=True)
class House:
    """Everything that is open while the relay runs."""

    store: SqliteStore
    recall: Recall
    renderer: Renderer
    dispatcher: Dispatcher
    scheduler: Scheduler
    intake: Intake
    answers: Answers
    silencer: Silencer
    alerts: AlertAnswers
    watchkeeper: Watchkeeper
    evidence: Evidence
    reconciling: Reconciling
    confirming: Confirming
    quieting: Quieting
    pausing: Pausing
    letters: Letters
    returns: Returns
    changes: Changes
    pulse: Pulse
    storms: Storms
    emergency: Emergency
    past_the_store: Dispatcher
    """Delivers what the emergency exit has judged."""

    async def adopt(self, book: Rulebook) -> None:
        """Have every room go by another rule book; those that judge and send do so in the same moment."""
        self.dispatcher.book = self.past_the_store.book = self.intake.book = self.changes.book = book
        failpoints.reached("reload.swapped")
        await self.recall.clear()
        self.scheduler.reloaded(book)
        self.watchkeeper.reloaded(book)
        self.evidence.reloaded(book)
        self.reconciling.reloaded(book)
        self.confirming.reloaded(book)
        self.quieting.reloaded(book)
        self.pausing.reloaded(book)

    def rekeyed(self, integrations: Collection[str]) -> None:
        """Have what waits for keys that count no more go out at once."""
        self.dispatcher.rekeyed(integrations)
        self.past_the_store.rekeyed(integrations)

    def stop(self) -> None:
        """Have the rooms take nothing more in hand; what they have in hand they end."""
        self.dispatcher.stop()
        self.past_the_store.stop()
        self.scheduler.stop()
        self.returns.stop()
        self.watchkeeper.stop()
        self.confirming.stop()
        self.quieting.stop()
        self.pausing.stop()
        self.changes.stop()


@dataclass(frozen=True, slots=True)
class Opened:
    """What must be opened before there are rooms, since it waits for the disk, the network or another process."""

    store: SqliteStore
    renderer: Renderer
    sender: EventSender
    enquirer: AlertmanagerClient
    silencer: Silencer
    rest: Rest


@dataclass(frozen=True, slots=True)
class Sundries:
    """What nearly every room is handed."""

    clock: Callable[[], Instant]
    steady: Callable[[], Instant]
    metrics: Metrics
    log: Log


@dataclass(frozen=True, slots=True)
class Sending:
    """The rooms between a judged page and PagerDuty."""

    dispatcher: Dispatcher
    pausing: Pausing
    emergency: Emergency
    past_the_store: Dispatcher
    changes: Changes


def wire(opened: Opened, book: Rulebook, keys: KeyRing, bell: Bell, settings: Settings, sundries: Sundries) -> House:
    """Make every room, and tell each whom it calls. Nothing runs yet.

    Rooms that call one another know each other by a function: `lambda: scheduler.nudge()` may stand above the
    scheduler, since nothing is called before all of them are there.
    """
    clock, steady, metrics, log = sundries.clock, sundries.steady, sundries.metrics, sundries.log
    store, silencer = opened.store, opened.silencer
    recall, rolls, storms = Recall(), RollCall(), Storms()
    sending = _sending(
        opened, book, keys, bell, settings, sundries, judged=lambda: scheduler.nudge(), forget=recall.forget
    )
    dispatcher, pausing = sending.dispatcher, sending.pausing
    scheduler = Scheduler(
        store,
        book,
        recall,
        clock=clock,
        steady=steady,
        wake=dispatcher.wake,
        retention=settings.retention,
        metrics=metrics,
        log=log,
        silences=lambda: silencer.current,
        rolls=rolls,
        storms=storms,
    )
    silencer.began = scheduler.silence_changed
    watchkeeper = Watchkeeper(store, book, clock=clock, wake=dispatcher.wake, metrics=metrics, log=log)
    evidence = Evidence(
        store,
        book,
        recall,
        opened.enquirer,
        clock=clock,
        steady=steady,
        wake=dispatcher.wake,
        nudge=scheduler.nudge,
        metrics=metrics,
        log=log,
    )
    confirming = Confirming(
        store,
        book,
        rest=opened.rest,
        find_key=keys.find,
        clock=clock,
        wake=dispatcher.wake,
        metrics=metrics,
        log=log,
    )
    quieting = Quieting(
        store,
        book,
        recall,
        opened.enquirer,
        clock=clock,
        steady=steady,
        wake=dispatcher.wake,
        judged=scheduler.nudge,
        metrics=metrics,
        log=log,
    )
    intake = Intake(
        store,
        book,
        recall,
        clock=clock,
        wake=dispatcher.wake,
        nudge=scheduler.nudge,
        metrics=metrics,
        log=log,
        silences=lambda: silencer.current,
        rolls=rolls,
        storms=storms,
        heard=watchkeeper.hear,
        changed=sending.changes.made,
        past_the_store=sending.emergency.page,
    )
    pulse = Pulse(
        store,
        clock=clock,
        steady=steady,
        send_failed=lambda: dispatcher.send_failed,
        paused=lambda: pausing.why(EVERYTHING),
        metrics=metrics,
        log=log,
        resolver=Resolver(),
    )

    def changed() -> None:
        dispatcher.wake()
        scheduler.nudge()
        quieting.nudge()

    answers = Answers(
        store,
        lambda: intake.book,
        clock=clock,
        sources=recall.sources,
        store_name=str(settings.storage_path),
        silences=lambda: silencer.current,
        storms=storms,
        trouble=lambda: {**bell.reasons, **sending.emergency.trouble},
        paused=pausing.why,
        barred=dispatcher.barred,
        confirmed=confirming.of,
        silenced=quieting.of,
        render=Aside(lambda: opened.renderer.sources).render,
        external_url=settings.external_url,
    )
    return House(
        store=store,
        recall=recall,
        renderer=opened.renderer,
        dispatcher=dispatcher,
        scheduler=scheduler,
        intake=intake,
        answers=answers,
        silencer=silencer,
        alerts=AlertAnswers(store, lambda: intake.book, lambda: silencer.current, clock=clock),
        watchkeeper=watchkeeper,
        evidence=evidence,
        reconciling=_reconciling(opened, book, keys, sundries, wake=dispatcher.wake),
        confirming=confirming,
        quieting=quieting,
        pausing=pausing,
        returns=_returns(opened, lambda: intake.book, keys, sundries, changed=changed),
        letters=Letters(store, clock=clock, wake=dispatcher.wake, log=log),
        changes=sending.changes,
        pulse=pulse,
        storms=storms,
        emergency=sending.emergency,
        past_the_store=sending.past_the_store,
    )


def _reconciling(
    opened: Opened, book: Rulebook, keys: KeyRing, sundries: Sundries, *, wake: Callable[[], None]
) -> Reconciling:
    """Make the room that compares, with who looks around for it."""
    clock = sundries.clock
    surveyor = Surveyor(opened.store, opened.rest, opened.enquirer, keys=lambda: keys.keys, clock=clock)
    return Reconciling(
        opened.store,
        book,
        opened.rest,
        surveyor,
        clock=clock,
        steady=sundries.steady,
        wake=wake,
        metrics=sundries.metrics,
        log=sundries.log,
    )


def _returns(
    opened: Opened, book: Callable[[], Rulebook], ring: KeyRing, sundries: Sundries, *, changed: Callable[[], None]
) -> Returns:
    """Make the desk for what comes back from PagerDuty; what it cannot place it asks the REST API for."""

    async def keys(incident: str) -> list[str]:
        return [one.key for one in await opened.rest.alert_keys(incident)]

    async def leads() -> dict[str, str]:
        found: dict[str, str] = {}
        for name, integration in book().rules.integrations.items():
            key = ring.find(integration.key_id)
            hooked = await opened.rest.integration_of(key.routing_key) if key is not None else None
            if hooked is not None:
                found[name] = hooked.service
        return found

    return Returns(
        opened.store,
        clock=sundries.clock,
        changed=changed,
        asks=lambda: book().rules.account.api,
        keys=keys,
        leads=leads,
        rules=lambda: book().rules,
        metrics=sundries.metrics,
        log=sundries.log,
    )


def _sending(
    opened: Opened,
    book: Rulebook,
    keys: KeyRing,
    bell: Bell,
    settings: Settings,
    sundries: Sundries,
    *,
    judged: Callable[[], None],
    forget: Callable[[Iterable[tuple[str, str]]], None],
) -> Sending:
    """Make the mail room, the one past the store with the exit it serves, and the pause that both keep to."""
    store, clock, metrics, log = opened.store, sundries.clock, sundries.metrics, sundries.log

    def timeout(integration: str) -> Duration:
        current = dispatcher.book.current_key(integration)
        return keys.timeout(current[0] if current else "")

    def wake() -> None:
        dispatcher.wake()
        emergency.wake()

    mail_room = partial(
        Dispatcher,
        book=book,
        renderer=opened.renderer,
        sender=opened.sender,
        clock=clock,
        steady=sundries.steady,
        jitter=random.random,
        timeout=timeout,
        external_url=settings.external_url,
        paused=lambda integration: pausing.of(integration) is not None,
        metrics=metrics,
        log=log,
    )
    dispatcher: Dispatcher = mail_room(
        store,
        judged=judged,
        stranded=lambda page, members: emergency.strand(page, members),
        told_elsewhere=lambda page: emergency.told(page),
        ring=bell.ring,
    )
    pausing: Pausing = Pausing(
        store, book, clock=clock, wake=wake, ring=bell.ring, quiet=bell.quiet, metrics=metrics, log=log
    )
    emergency: Emergency = Emergency(
        store,
        clock=clock,
        silences=lambda: opened.silencer.current,
        prove=lambda: store.remember_integrations(remembered(dispatcher.book.rules)),
        forget=forget,
        metrics=metrics,
        log=log,
        beside=Notebook(settings.storage_path),
    )
    past_the_store = mail_room(emergency, judged=lambda: None, windows=dispatcher.windows())
    emergency.wake = past_the_store.wake
    changes = Changes(
        store,
        book,
        opened.sender,
        dispatcher,
        clock=clock,
        timeout=timeout,
        jitter=random.random,
        metrics=metrics,
        log=log,
    )
    return Sending(dispatcher, pausing, emergency, past_the_store, changes)
