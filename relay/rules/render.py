"""A page's view and its receiver's texts in, the event that PagerDuty gets out."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from relay.decision import Step
from relay.event import Action, Event, Image, Link, Rendered
from relay.rules.cleaning import address, cut, line, prose
from relay.rules.details import left_out, links, listed, plain_line, shared_details, shortened, timestamp
from relay.rules.differences import Parts, parts, words
from relay.rules.passing import Passed, cleaned, passed
from relay.rules.ruleset import Texts
from relay.rules.templates import Engine
from relay.rules.view import PageView

LONGEST_SUMMARY = 1_024
"""Characters (developer.pagerduty.com/docs/events-api-v2/trigger-events); Alertmanager counts runes."""

LONGEST_EVENT = 512_000
"""Bytes of the whole body (Alertmanager's maxEventSize, notify/pagerduty/pagerduty.go)."""

# What the event on the wire has and Event has not: the routing key and the payload object around some fields.
_ENVELOPE = 512

_LONGEST_FIELD = 1_024
_MOST_LINKS = 20
_WEB = ("http://", "https://")
_SECURE = ("https://",)
_DEEPEST = 20


def render(
    view: PageView,
    texts: Texts,
    engine: Engine,
    *,
    skip: Mapping[str, str] | None = None,
    watch: Callable[[str], None] = lambda field: None,
) -> Rendered:
    """Render a page by its receiver's texts, and by the defaults where those say nothing.

    A field that fails falls back by itself and is named in `failed_fields`, each with a Step. `watch` is told each
    field before it is rendered, and may raise to keep it from being tried; the fields named in `skip` are not
    rendered: they failed before, for the reason given. Never raises for what a template or an alert does, short of
    exhausting the process.
    """
    return _Desk(view, texts, engine, skip or {}, watch).render()


def plain(view: PageView, reason: str) -> Event:
    """Make an event without any template: what fires, and why the page looks so plain."""
    found, said = parts(view), passed(view)
    event = Event(
        event_action=Action.TRIGGER,
        dedup_key=view.dedup_key,
        summary=cut(plain_line(view, found, reason), LONGEST_SUMMARY),
        source=_source(view, _said_source(view)),
        severity=view.severity,
        timestamp=timestamp(view, found),
        links=links(view, found),
        client="Pagerelay" if address(view.relay_url) else "Alertmanager",
        client_url=address(view.relay_url),
    )
    return fitted(event, view, found, {}, said)


def minimal(view: PageView, reason: str) -> Event:
    """Make an event with nothing in it that PagerDuty could refuse: what fires, of whom, how bad it is."""
    summary = cut(plain_line(view, parts(view), reason), LONGEST_SUMMARY)
    return Event(
        Action.TRIGGER,
        view.dedup_key,
        summary=summary,
        source=_source(view, _said_source(view)),
        severity=view.severity,
    )


class _Desk:
    """Where one page is rendered: the data its templates share, and what went wrong so far."""

    def __init__(
        self, view: PageView, texts: Texts, engine: Engine, skip: Mapping[str, str], watch: Callable[[str], None]
    ) -> None:
        self.view, self.texts, self.engine, self.skip, self.watch = view, texts, engine, skip, watch
        self.parts = parts(view)
        self.passed = passed(view)
        said = words(view, self.parts)
        self.data = engine.data(view, self.parts, said)
        self.data["default_summary"] = f"[{view.severity}] {said.line}"
        left_out = self.passed.left_out if self.passed is not None else ()
        self.steps: list[Step] = [Step("template", because) for because in left_out]
        self.failed: list[str] = []

    def render(self) -> Rendered:
        texts = self.texts
        event = Event(
            event_action=Action.TRIGGER,
            dedup_key=self.view.dedup_key,
            summary=self.summary(),
            source=_source(self.view, self.one_line("source", texts.source)),
            severity=self.view.severity,
            timestamp=timestamp(self.view, self.parts) if self.passed is None else self.passed.text("timestamp"),
            component=self.one_line("component", texts.component),
            group=self.one_line("group", texts.group),
            class_=self.one_line("class", texts.class_),
            client=self.one_line("client", texts.client),
            client_url=self.client_url(),
            links=self.links(),
            images=self.images(),
        )
        own = {prose(name): self.detail(name, value) for name, value in (texts.details or {}).items()}
        self.watch("event")
        return Rendered(fitted(event, self.view, self.parts, own, self.passed), tuple(self.steps), tuple(self.failed))

    def summary(self) -> str:
        own = self.texts.description
        if self.passed is not None:
            self.data["default_summary"] = self.passed.text("summary")
            if own is None:
                return self.passed.text("summary")
            return cut(line(self.attempt("description", own, "") or ""), LONGEST_SUMMARY) or self.passed.text("summary")
        default = self.attempt("description" if own is None else "default_summary", None, "description.j2")
        if default is not None and line(default):
            self.data["default_summary"] = cut(line(default), LONGEST_SUMMARY)
        written = default if own is None else self.attempt("description", own, "")
        if written is None:
            return cut(plain_line(self.view, self.parts, 'template "description" failed'), LONGEST_SUMMARY)
        if not line(written):
            self.note('Template "description" came out empty; the default summary stands in its place.')
        return cut(line(written) or self.data["default_summary"], LONGEST_SUMMARY)

    def one_line(self, field: str, own: str | None) -> str:
        """Render a field on one line; its own text first, the default where that is absent or fails."""
        if own is None and self.passed is not None:
            return self.passed.text(field)
        written = self.attempt(field, own, f"{field}.j2")
        if written is None and self.passed is not None:
            return self.passed.text(field)
        if written is None and own is not None:
            written = self.attempt(f"{field} (default)", None, f"{field}.j2")
        return cut(line(written or ""), _LONGEST_FIELD)

    def client_url(self) -> str:
        written = self.one_line("client_url", self.texts.client_url)
        href = address(written)
        if written and not href:
            self.note(f'"client_url" is no http(s) address and was left out: {cut(written, 80)}')
        return href

    def links(self) -> tuple[Link, ...]:
        if self.texts.links is None:
            return links(self.view, self.parts) if self.passed is None else self.passed.links
        found = []
        for number, own in enumerate(self.texts.links[:_MOST_LINKS]):
            href = self.address(f"links[{number}].href", own.get("href", ""), _WEB)
            if href:
                found.append(Link(href=href, text=self.caption(f"links[{number}].text", own.get("text", ""))))
        return tuple(found)

    def images(self) -> tuple[Image, ...]:
        if self.texts.images is None and self.passed is not None:
            return self.passed.images
        found = []
        for number, own in enumerate((self.texts.images or ())[:_MOST_LINKS]):
            src = self.address(f"images[{number}].src", own.get("src", ""), _SECURE)
            if src:
                href = self.address(f"images[{number}].href", own.get("href", ""), _WEB)
                found.append(Image(src, href, self.caption(f"images[{number}].alt", own.get("alt", ""))))
        return tuple(found)

    def address(self, field: str, own: str, schemes: tuple[str, ...]) -> str:
        written = line(self.attempt(field, own, "") or "")
        href = address(written, schemes=schemes)
        if written and not href:
            self.note(f'"{field}" is no address ({" or ".join(schemes)}...) and was left out: {cut(written, 80)}')
        return href

    def caption(self, field: str, own: str) -> str:
        return cut(line(self.attempt(field, own, "") or ""), _LONGEST_FIELD)

    def detail(self, name: str, value: Any) -> Any:
        field = f"details.{cut(line(name), 60)}"
        if field in self.skip:
            self.fail(field, self.skip[field])
            return self.missing(field)
        try:
            self.watch(field)
            return cleaned(
                deep(value, lambda text: self.engine.text(text, self.data), self.engine.read_value), _DEEPEST
            )
        except Exception as error:
            self.fail(field, _because(error))
            return self.missing(field)

    def missing(self, field: str) -> str:
        return f'(template "{field}" failed)'

    def attempt(self, field: str, own: str | None, default: str) -> str | None:
        """Render a text, or a default file where there is none; None if it failed."""
        if field in self.skip:
            self.fail(field, self.skip[field])
            return None
        try:
            self.watch(field)
            return self.engine.file(default, self.data) if own is None else self.engine.text(own, self.data)
        except Exception as error:
            self.fail(field, _because(error))
            return None

    def fail(self, field: str, because: str) -> None:
        self.failed.append(field)
        self.note(f'Template "{field}" failed ({because}); a plain text stands in its place.')

    def note(self, because: str) -> None:
        self.steps.append(Step(by="template", because=because))


def _because(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it needed too much memory"
    if isinstance(error, RecursionError):
        return "it calls itself without end"
    place = f"line {error.lineno}: " if hasattr(error, "lineno") else ""
    return place + (cut(line(str(error)), 200) or type(error).__name__)


def _said_source(view: PageView) -> str:
    """Return the source of the event that a page stands for; "" where it stands for none."""
    said = passed(view)
    return said.text("source") if said is not None else ""


def _source(view: PageView, written: str) -> str:
    return written or cut(line(view.source), _LONGEST_FIELD) or "alertmanager"


def deep(value: Any, written: Callable[[str], str], read: Callable[[str], Any]) -> Any:
    """Render every string of a detail, keys of maps too, and read each result as data.

    As Alertmanager's DeepCopyWithTemplate (template/template.go): entries whose key is no string are dropped,
    values that are no strings stay as they are.
    """
    if isinstance(value, str):
        return read(written(value))
    if isinstance(value, Mapping):
        return {written(name): deep(one, written, read) for name, one in value.items() if isinstance(name, str)}
    if isinstance(value, list | tuple):
        return [deep(one, written, read) for one in value]
    return value


def fitted(event: Event, view: PageView, found: Parts, own: Mapping[str, Any], said: Passed | None) -> Event:
    """Add the details, as many of the alerts as there is room for, worst first; `own` wins over the defaults.

    `said` is the event that is passed on: then its details are all there are.
    """
    if said is not None:
        told = {**said.details, **own}
        passed_on = msgspec.structs.replace(event, custom_details=told)
        return passed_on if _fits(passed_on) else _smallest(event, view, found, told)
    shared, lists = shared_details(view, found), listed(found)

    def made(keep: int) -> Event:
        kept = shortened(lists, keep)
        missing = left_out(view, found, kept)
        details = {**shared, **kept, **({"left_out": missing} if missing else {}), **own}
        return msgspec.structs.replace(event, custom_details=details)

    everyone = sum(len(one) for one in lists.values())
    whole = made(everyone)
    if _fits(whole):
        return whole
    most = _most(everyone, lambda keep: _fits(made(keep)))
    return made(most) if most is not None else _smallest(event, view, found, {**shared, **own})


def _most(top: int, holds: Callable[[int], bool]) -> int | None:
    """Find the largest number below `top` for which it still holds; None if it does not even hold for 0."""
    if not holds(0):
        return None
    low, high = 0, top
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _smallest(event: Event, view: PageView, found: Parts, details: Mapping[str, Any]) -> Event:
    """Fit a page whose details are too large even without its alerts: short texts first, then none."""
    event = msgspec.structs.replace(
        event, images=(), links=tuple(link for link in event.links if len(link.href) < 2_048)
    )
    for length, number in ((4_096, 200), (512, 50), (128, 20)):
        small = {
            **_trimmed(details, length, number),
            "left_out": "Long details were cut for want of room. " + left_out(view, found, {}),
        }
        smaller = msgspec.structs.replace(event, custom_details=small)
        if _fits(smaller):
            return smaller
    return msgspec.structs.replace(event, custom_details={"left_out": "All details, for want of room."})


def _trimmed(value: Any, length: int, number: int) -> Any:
    if isinstance(value, str):
        return cut(value, length)
    if isinstance(value, Mapping):
        return {cut(name, length): _trimmed(value[name], length, number) for name in list(value)[:number]}
    if isinstance(value, list):
        return [_trimmed(one, length, number) for one in value[:number]]
    return value


def _fits(event: Event) -> bool:
    return len(msgspec.json.encode(event)) + _ENVELOPE <= LONGEST_EVENT
