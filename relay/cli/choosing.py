"""Finds the one thing at PagerDuty that a person means by an id or a name."""

from collections.abc import Iterable
from typing import TypeVar

from relay.pagerduty.records import Named, Schedule, User
from relay.pagerduty.rest import RestError

Found = TypeVar("Found", Schedule, User, Named)

_SHOWN = 10


def query(given: str) -> str:
    """Say what to search for: "" is everything, since PagerDuty searches names but not ids."""
    return "" if given.isalnum() and given.isupper() else given


def choose(found: Iterable[Found], given: str, what: str, look: str) -> Found:
    """Choose the one with this id, whole name or e-mail address, or the only one there is with these words.

    Raises RestError (not_found) where there is none, and says where to `look`, or several.
    """
    kept = list(found)
    exact = [one for one in kept if given.lower() in (name.lower() for name in _names(one))]
    chosen = exact or (kept if query(given) else [])
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise RestError("not_found", f"there is no {what} {given!r} at PagerDuty: {look}")
    shown = ", ".join(f"{one.name} ({one.id})" for one in chosen[:_SHOWN])
    raise RestError("not_found", f"{given!r} may mean {len(chosen)} of them: {shown}; give the id")


def _names(one: Schedule | User | Named) -> tuple[str, ...]:
    return (one.id, one.name, one.email) if isinstance(one, User) else (one.id, one.name)
