"""`pagerelay explain`: what became of a page, an alert or a webhook body, and what would become of it, and why."""

import asyncio
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from relay.alert import Instant
from relay.answers import Asking, DecisionAnswer, ExplainAnswer, PageAnswer
from relay.cli import stated
from relay.cli.asking import Asked, CannotAsk, asked
from relay.cli.instants import When
from relay.cli.options import storage_path
from relay.cli.route import labels_of
from relay.cli.tables import print_json, print_lines
from relay.cli.telling import tell_found
from relay.cli.telling_explained import tell_explained
from relay.errors import RelayError
from relay.logs import clean
from relay.page import page_number
from relay.promrules.reading import read_text

MESSAGES = 20
"""Messages whose decisions are shown."""
_PAGES = 20
_ALERTS_TOLD = 20
"""Alerts of a webhook file whose last decisions are looked up."""
_URL = re.compile(r"https?://[^/]+/(?:.*/)?(?P<kind>pages|incidents|alerts)/(?P<id>[A-Za-z0-9]+)(?:[/?#].*)?")
_RULE_FILE = (".yml", ".yaml")


class Found(msgspec.Struct, omit_defaults=True):
    """What became of a page or an alert; and, for another time or without silences, what would become of it."""

    pages: list[PageAnswer]
    decisions: list[DecisionAnswer]
    explained: list[ExplainAnswer] = []
    """One for each page in which something fires."""


class Explained(msgspec.Struct):
    """What would become of a webhook body, and what became of its alerts before."""

    explained: ExplainAnswer
    decisions: list[DecisionAnswer]


class Question(NamedTuple):
    """What is asked, and how."""

    what: str | None
    """A file, or what else names something; None for labels alone."""
    labels: dict[str, str]
    annotations: dict[str, str]
    source: str
    asking: Asking
    now: Instant

    @property
    def at(self) -> Instant:
        """When alerts that are made up begin to fire."""
        return self.now if self.asking.at is None else self.asking.at

    @property
    def otherwise(self) -> bool:
        """Whether it is not about the relay as it is now."""
        return self.asking.at is not None or not self.asking.silences


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option(
    "--relay.url",
    "url",
    default="",
    metavar="URL",
    envvar="PAGERELAY_RELAY_URL",
    show_envvar=True,
    help="The running relay. [default: the one that holds the storage path]",
)
@storage_path("Where the relay stores; read where no relay runs.")
@click.option(
    "--config.file",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PAGERELAY_CONFIG_FILE",
    show_envvar=True,
    help="The routing YAML, to explain labels and files where no relay runs.",
)
@click.option("--source", default="", help="Of labels and files: the source they would come from. [default: /webhook]")
@click.option(
    "--time",
    "at",
    type=When(),
    metavar="TIME",
    help="As if it came then: 2026-11-24T03:00:00Z, or 03:00 (the next one, in UTC).",
)
@click.option("--no-silences", is_flag=True, help="As if there were no silences.")
@click.option(
    "--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="Of labels: an annotation. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the exact events.")
def explain(
    what: tuple[str, ...],
    url: str,
    storage: Path,
    config: Path | None,
    source: str,
    at: Instant | None,
    no_silences: bool,
    annotations: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what became of WHAT, or would become of it, and why.

    WHAT is a page id, a dedup key, an alert's fingerprint (16 hex digits), the URL of a page of the relay or of an
    incident at PagerDuty, or that incident's id: then it says what became of it; with --time or --no-silences also
    what would become of what fires there.

    Or WHAT is an alert's labels (alertname=X severity=critical), a file with a webhook body or an Events API event,
    or a Prometheus rule file (- for standard input), perhaps with labels behind it for the series: then it says what
    would become of it: each route that was tried and the matcher that failed, silences, inhibit rules, time
    intervals and holds, the page it joins, and the event as PagerDuty would show it. Nothing is written or sent.

    \b
    Examples:
      pagerelay explain alertname=DiskFull severity=critical team=storage
      pagerelay explain --config.file=relay.yml --time=03:00 alertname=DiskFull severity=warning
      pagerelay explain --config.file=relay.yml rules.yml cluster=eu1
      pagerelay explain webhook.json --json
      pagerelay explain https://example.pagerduty.com/incidents/Q0R3XKTM1U4B5L

    Exit status 1: nothing is known of it.
    """
    asking = Asking(at=at, silences=not no_silences, events=True)
    question = _question(what, annotations, source, asking)
    try:
        found = asyncio.run(_ask(question, url, storage, config))
    except (RelayError, OSError) as error:
        click.echo(f"pagerelay: {clean(str(error))}", err=True)
        sys.exit(1)
    if found is None:
        click.echo(
            f"pagerelay: nothing is known of {clean(what[0])}: it is no file, and no page, dedup key, "
            "fingerprint or incident that the relay remembers; labels are written name=value",
            err=True,
        )
        sys.exit(1)
    if as_json:
        print_json(found)
    else:
        print_lines(_tell(found, timed=at is not None))


def _question(what: Sequence[str], annotations: Sequence[str], source: str, asking: Asking) -> Question:
    """Tell labels from what they stand behind."""
    first = what[0]
    named = None if len(what) > 1 and "=" in first and not _is_file(first) else first
    labels = labels_of(what if named is None else what[1:])
    return Question(named, labels, labels_of(annotations), source, asking, time.time_ns() // 1000)


def _tell(found: Found | Explained, *, timed: bool) -> list[str]:
    if isinstance(found, Explained):
        return tell_explained(found.explained, found.decisions, asked_for_time=timed)
    lines = tell_found(found.pages, found.decisions)
    for one in found.explained:
        lines += ["", *tell_explained(one, (), asked_for_time=timed)]
    return lines


async def _ask(question: Question, url: str, storage: Path, config: Path | None) -> Found | Explained | None:
    body = await asyncio.to_thread(_stated, question)
    async with asked(url, storage, config) as relay:
        if body is not None:
            return await _explained(body, question, relay)
        what = question.what or ""
        found = await _found(what, relay)
        if found is None and "=" in what:
            labels = labels_of([what])
            return await _explained(stated.of_labels(labels, question.annotations, question.at), question, relay)
        if found is not None and question.otherwise:
            found.explained = await _otherwise(found.pages, question, relay)
        return found


def _stated(question: Question) -> bytes | None:
    """Return the webhook body that is meant; None where `what` names something that the relay may know."""
    if question.what is None:
        return stated.of_labels(question.labels, question.annotations, question.at)
    if question.what != "-" and not _is_file(question.what):
        if question.labels:
            raise CannotAsk(f"{question.what} is no file: labels stand behind a file, or alone")
        return None
    text = sys.stdin.buffer.read() if question.what == "-" else Path(question.what).read_bytes()
    if not _is_rules(question.what, text):
        return text
    file = read_text(text.decode("utf-8", "replace"), question.what)
    if not file.rules:
        flaws = "; ".join(f"{question.what}:{flaw.line}:{flaw.column}: {flaw.message}" for flaw in file.flaws)
        raise CannotAsk(flaws or f"{question.what} has no alerting rules")
    return stated.of_rules(file, question.labels, question.at)


def _is_file(what: str) -> bool:
    return os.path.isfile(what)  # Path.is_file raises for a long dedup key


def _is_rules(what: str, text: bytes) -> bool:
    """Say whether a file holds rules: by its name, else by what it begins with, since a body is a JSON object."""
    return what.endswith(_RULE_FILE) or text.lstrip().startswith((b"groups:", b"apiVersion:", b"kind:", b"---", b"#"))


async def _explained(body: bytes, question: Question, relay: Asked) -> Explained:
    explained = await relay.explain(body, question.source, question.asking)
    decisions: list[DecisionAnswer] = []
    for alert in explained.alerts[:_ALERTS_TOLD]:
        found = await relay.decisions(fingerprint=alert.fingerprint, limit=1)
        decisions += [one for one in found.decisions if one.source == alert.source]
    return Explained(explained, decisions)


async def _otherwise(pages: Sequence[PageAnswer], question: Question, relay: Asked) -> list[ExplainAnswer]:
    """Say what would become of what fires in pages."""
    firing = [page for page in pages if any(one.status == "firing" for one in page.members)]
    return [await relay.explain(stated.of_page(page), page.source, question.asking) for page in firing]


async def _found(what: str, relay: Asked) -> Found | None:
    """Try what it looks like first: a URL, a page id, a fingerprint; anything may be a dedup key, or an incident."""
    if url := _URL.fullmatch(what):
        if url["kind"] != "pages":  # the sandbox calls an incident's page `alerts`
            return await _of_incident(url["id"], relay)
        what = url["id"]
    if page_number(what) is not None and (page := await relay.page(what)) is not None:
        return await _of_pages([page], relay)
    if re.fullmatch(r"[0-9a-fA-F]{16}", what) and (found := await _of_alert(what.lower(), relay)) is not None:
        return found
    lines = (await relay.pages(dedup_key=what)).pages
    named = [page for line in lines if (page := await relay.page(line.id)) is not None]
    if named:
        return await _of_pages(named, relay)
    return await _of_incident(what, relay) if re.fullmatch(r"[A-Z0-9]{6,20}", what) else None


async def _of_incident(incident: str, relay: Asked) -> Found | None:
    lines = (await relay.pages(incident=incident)).pages
    named = [page for line in lines if (page := await relay.page(line.id)) is not None]
    return await _of_pages(named, relay) if named else None


async def _of_pages(pages: list[PageAnswer], relay: Asked) -> Found:
    """Show pages, and those that took over from them (`/2`, `/3` ...)."""
    shown = {page.id: page for page in pages}
    for page in pages:
        heir = page.successor
        while heir is not None and heir not in shown and (linked := await relay.page(heir)) is not None:
            shown[linked.id] = linked
            heir = linked.successor
    decisions = [one for name in shown for one in (await relay.decisions(page=name, limit=MESSAGES)).decisions]
    return Found(list(shown.values()), _newest_first(decisions))


async def _of_alert(fingerprint: str, relay: Asked) -> Found | None:
    decisions = list((await relay.decisions(fingerprint=fingerprint, limit=MESSAGES)).decisions)
    holding = [line.id for line in (await relay.pages(fingerprint=fingerprint)).pages]
    names = list(dict.fromkeys([*(name for one in decisions for name in one.pages), *holding]))[:_PAGES]
    pages = [page for name in names if (page := await relay.page(name)) is not None]
    return Found(pages, decisions) if decisions or pages else None


def _newest_first(decisions: list[DecisionAnswer]) -> list[DecisionAnswer]:
    unique = {msgspec.json.encode(one): one for one in decisions}
    return sorted(unique.values(), key=lambda one: one.at or "", reverse=True)
