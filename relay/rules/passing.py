"""Events passed on: where a page stands for one event alone, PagerDuty gets of it what the receiver does not set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.alert import Status
from relay.event import Image, Link
from relay.rules.cleaning import address, cut, line, prose
from relay.rules.view import MemberView, PageView

_LONGEST = 1_024
_DEEPEST = 200
_LARGEST_NUMBER = 2**63 - 1
_SECURE = ("https://",)


@dataclass(frozen=True, slots=True)
class Passed:
    """One event as it came, fit to be sent."""

    texts: Mapping[str, str]
    """By their names in an event: summary, source, timestamp, component, group, class, client, client_url."""
    details: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    images: tuple[Image, ...] = ()
    left_out: tuple[str, ...] = ()
    """What of it PagerDuty would not take, in words."""

    def text(self, name: str) -> str:
        """Return one of its texts; "" where it has none."""
        return self.texts.get(name, "")


def passed(view: PageView) -> Passed | None:
    """Find the event that a page stands for; None where it stands for more than one alert, or for no event."""
    if view.firing != 1 or not view.members:
        return None
    member = view.members[0]
    return _passed(member) if member.event and member.status is Status.FIRING else None


def _passed(member: MemberView) -> Passed:
    event = member.event
    payload = event.get("payload", {})
    texts = {name: one for name, one in {**payload, **event}.items() if isinstance(one, str)}
    left_out: list[str] = []
    if client_url := texts.pop("client_url", ""):
        texts["client_url"] = _address(client_url, "client_url", left_out)
    links = tuple(_links(event.get("links", ()), left_out))
    images = tuple(_images(event.get("images", ()), left_out))
    details = cleaned(payload.get("custom_details", {}), _DEEPEST)
    cut_texts = {name: cut(prose(text), _LONGEST) for name, text in texts.items()}
    return Passed(cut_texts, details, links, images, tuple(left_out))


def _links(items: Any, left_out: list[str]) -> Iterator[Link]:
    for number, item in enumerate(items):
        if href := _address(item.get("href", ""), f"links[{number}].href", left_out):
            yield Link(href, cut(prose(item.get("text", "")), _LONGEST))


def _images(items: Any, left_out: list[str]) -> Iterator[Image]:
    for number, item in enumerate(items):
        if src := _address(item.get("src", ""), f"images[{number}].src", left_out, _SECURE):
            href = item.get("href", "")
            href = _address(href, f"images[{number}].href", left_out) if href else ""
            yield Image(src, href, cut(prose(item.get("alt", "")), _LONGEST))


def _address(text: str, name: str, left_out: list[str], schemes: tuple[str, ...] = ("http://", "https://")) -> str:
    href = address(text, schemes=schemes)
    if not href:
        left_out.append(f'"{name}" is no address ({" or ".join(schemes)}...) and was left out: {cut(line(text), 80)}')
    return href


def cleaned(value: Any, deepest: int, depth: int = 0) -> Any:
    """Make a value that JSON and PagerDuty can hold: clean strings, string keys, no depth or number beyond measure."""
    if isinstance(value, str):
        return prose(value)
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_NUMBER else str(value) if value.bit_length() < 4_096 else "a huge number"
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if depth >= deepest:
        return "…"
    if isinstance(value, Mapping):
        return {prose(str(name)): cleaned(one, deepest, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(one, deepest, depth + 1) for one in value]
    return prose(str(value))
