"""Says who is at a door by the credential that came along: a source, a user, or nobody that is known."""

import asyncio
import base64
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from aiohttp import web

from relay.config.senders import Credentials
from relay.config.web import Rate, sans
from relay.errors import NotTaken, RelayError
from relay.logs import Repeats
from relay.rules.ruleset import Source
from relay.web.doors import Doors
from relay.web.passwords import Passwords
from relay.web.routing_keys import Whose

CHALLENGES = ('Basic realm="pagerelay", charset="UTF-8"', 'Bearer realm="pagerelay"')
_REFUSED = {door: f"{door} refused" for door in ("sender", "event", "reader", "operator")}
_WHY = {"event": "no source and no receiver has its routing key"}
"""For the log, where the kind of a refusal would not say it."""
_OFTEN = 3
"""Refusals in a row of an address that was let in before, after which somebody must know."""
_PATIENT = 10
"""Refusals of one address within a minute that are answered at once; later ones are answered slowly."""
_SLOWLY = 1.0
"""Seconds."""
_HELD_UP = 64
"""Refusals that may be on their way slowly; beyond that they are answered at once, for they cost memory too."""
_LOUD_FOR = 3_600.0
"""Seconds for which a refusal is told of that nothing ends: as long as its self-page counts."""
_NAMED = 3
"""Doors named in a self-page."""
_SHOWS = {
    "missing": "no credential",
    "wrong": "a credential that is not known",
    "other_source": "the credential of another source",
}
_ADDRESSES = 10_000
"""Addresses that are remembered."""


class Unauthenticated(RelayError):
    """Who asks has not said who it is, or not so that it is believed."""

    status_hint = 401

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
        """For the metric: missing or wrong."""


class UnknownKey(RelayError):
    """Nobody has the routing key that an event came with. The words are PagerDuty's (robusta-dev/robusta#571)."""

    status_hint = 400
    kind = "wrong"

    def __init__(self) -> None:
        super().__init__("Invalid routing key: no source and no receiver of this relay has it")


class OtherSource(RelayError):
    """A credential speaks for its own source only."""

    status_hint = 403
    kind = "other_source"


def challenge(reply: web.StreamResponse) -> None:
    """Say which credentials are taken, as every 401 must."""
    for scheme in CHALLENGES:
        reply.headers.add("WWW-Authenticate", scheme)


class Given(NamedTuple):
    """A credential as it came along."""

    secret: str
    name: str | None
    """Of HTTP Basic; None: it is a bearer's."""


def given(request: web.BaseRequest) -> Given | None:
    """Read the credential of the Authorization header; None where there is none to be read."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return Given(rest.strip(), None)
        case "basic":
            try:
                name, colon, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
            except ValueError:
                return None
            return Given(secret, name) if colon else None
    return None


class Register:
    """Which credential speaks for which source. How long a look takes tells nothing of any secret."""

    def __init__(self, sources: Mapping[str, Source], credentials: Mapping[str, Credentials]) -> None:
        self.sources = sources
        self.credentials = credentials
        self.all_demand = bool(sources) and all(name in credentials for name in sources)
        """Whether every source that the file lists must show a credential of its own."""
        self.by_certificate = {san: name for name, held in credentials.items() for san in held.client_sans}
        self._salt = os.urandom(32)
        self._by_secret = dict(self._listed())

    def speakers(self, shown: Given | None, request: web.BaseRequest) -> list[str]:
        """Name the sources that a request speaks for: by its Authorization header first, then by its certificate."""
        named = [self._by_secret.get(self._digest(*shown))] if shown is not None and self._by_secret else []
        if self.by_certificate and request.transport is not None:
            certificate = request.transport.get_extra_info("peercert")
            named += [self.by_certificate.get(name) for name in sans(certificate)]
        return [name for name in named if name is not None]

    def _listed(self) -> Iterator[tuple[bytes, str]]:
        for name, held in self.credentials.items():
            yield from ((self._digest(token.reveal(), None), name) for token in held.bearer_tokens)
            yield from ((self._digest(password.reveal(), user), name) for user, password in held.users)

    def _digest(self, secret: str, user: str | None) -> bytes:
        return blake2b(repr((secret, user)).encode(), digest_size=32, key=self._salt).digest()


@dataclass(slots=True)
class _Address:
    """What is remembered of one peer."""

    source: str | None = None
    """The source it spoke for with a credential; None: never."""
    in_a_row: dict[tuple[str, str], int] = field(default_factory=dict)
    """Refusals since it was last let in there, by door and the source that was asked for."""
    refused: list[float] = field(default_factory=list)
    """When, within the last minute."""


class Doorkeeper:
    """Lets in who is known, and never locks out who shows the right thing. One per process: it remembers the others."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._passwords = Passwords()
        self._register = Register({}, {})
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._loud: dict[tuple[str, str, str], tuple[str, float]] = {}
        """Addresses that were let in before, and are refused now: (what is said of it, when it was last refused), by
        address, door and the source that was asked for."""
        self._told = Repeats()
        self._held_up = 0
        self._bucket = _Bucket()

    def check_rate(self) -> None:
        """Raise NotTaken above the rate that the web configuration sets for all doors together."""
        rate = self._doors.web().rate
        if rate is not None and not self._bucket.take(rate, time.monotonic()):
            raise NotTaken("more requests than rate_limit lets in; send it again in a moment")

    async def sender(self, request: web.Request, named: str) -> str:
        """Say which source speaks, where the path names one or ("") none. Raises Unauthenticated and OtherSource."""
        register, users = self._current(), self._doors.web().users
        if not register.sources and not users:
            return named
        try:
            source = await self._speaking(request, named, register, users)
        except (Unauthenticated, OtherSource) as error:
            await self._refused(request, "sender", error.kind, named)
            raise
        if users or register.credentials:
            self._welcome(request, "sender", named, source)
        return source

    async def _speaking(self, request: web.Request, named: str, register: Register, users: Mapping[str, object]) -> str:
        shown = given(request)
        speakers = register.speakers(shown, request) if register.credentials else []
        if speakers and (not named or named in speakers):
            return named or speakers[0]
        if speakers:
            raise OtherSource(
                f"this credential speaks for source {speakers[0]} only: post to /webhook/{speakers[0]}, or to /webhook"
            )
        if named in register.credentials:
            raise _unknown(shown, f"source {named} must show a credential of its own")
        if users:
            if not await self._is_user(request, shown):
                raise _unknown(shown, "a credential is needed here")
        elif register.all_demand and named not in register.sources:
            raise _unknown(shown, "every source must show its credential here")
        if named and register.sources and named not in register.sources:
            self._unlisted(named, request)
            return ""
        return named

    async def holder(self, request: web.Request, key: str) -> Whose:
        """Say whose a routing key is that an event came with; it is all that is asked of its sender.

        Raises UnknownKey.
        """
        whose = self._doors.routing_keys(key)
        if whose is None:
            error = UnknownKey()
            await self._refused(request, "event", error.kind, "")
            raise error
        self._welcome(request, "event", "", whose.source)
        return whose

    async def reader(self, request: web.Request) -> None:
        """Let in users and operators where users are asked for. Raises Unauthenticated."""
        if not self._doors.web().users or self.is_this_machine(request):
            return
        shown, operators = given(request), self._doors.operators()
        if shown is not None and operators is not None and operators.known(*shown):
            return
        if not await self._is_user(request, shown):
            error = _unknown(shown, "a user's credential is needed here")
            await self._refused(request, "reader", error.kind, "")
            raise error
        self._welcome(request, "reader", "", None)

    def is_this_machine(self, request: web.Request) -> bool:
        """Say whether a command on this machine asks: it could read the pass beside the store."""
        shown, known = request.headers.get("Authorization", ""), self._doors.own_pass
        return known is not None and hmac.compare_digest(
            shown.encode("utf-8", "replace"), f"Bearer {known.reveal()}".encode()
        )

    async def operator_refused(self, request: web.Request, *, wrong: bool) -> None:
        """Note that somebody was kept from changing things; who tries often waits."""
        await self._refused(request, "operator", "wrong" if wrong else "missing", "")

    def certificate_refused(self, peer: str) -> None:
        """Note that a client's certificate bears none of the allowed names."""
        self._doors.metrics.auth_failed("tls", "certificate")
        if self._told.worth_saying((peer, "certificate"), time.monotonic_ns() // 1000):
            self._doors.log.warning("client certificate refused", peer=peer, error="none of client_allowed_sans")

    def _current(self) -> Register:
        sources, credentials = self._doors.sources(), self._doors.credentials()
        if self._register.sources is not sources or self._register.credentials is not credentials:
            self._register = Register(sources, credentials)
        return self._register

    async def _is_user(self, request: web.BaseRequest, shown: Given | None) -> bool:
        if shown is None or shown.name is None:
            return False
        return await self._passwords.right(self._doors.web().users, shown.name, shown.secret, _peer(request))

    def _unlisted(self, named: str, request: web.BaseRequest) -> None:
        """Tell of a name in the path that the file does not list: it is heard all the same."""
        self._doors.metrics.unlisted()
        said = f"somebody posts as source {named!r}, which `sources` does not list: it counts as the unnamed source"
        self._doors.ring("unknown_source", f"{said}; list it, or mend the URL of who posts")
        if self._told.worth_saying(named, time.monotonic_ns() // 1000):
            self._doors.log.warning("unknown source", source=named, peer=_peer(request))

    # Who is refused

    async def _refused(self, request: web.BaseRequest, door: str, kind: str, named: str) -> None:
        """Count a refusal, tell of it where somebody must know, and answer slowly who is refused often."""
        peer, now = _peer(request), time.monotonic()
        self._doors.metrics.auth_failed(door, kind)
        if self._told.worth_saying((peer, door, kind, named), time.monotonic_ns() // 1000):
            self._doors.log.warning(
                _REFUSED[door], why=_WHY.get(door, kind), source=named, path=request.path, peer=peer
            )
        address = self._address(peer)
        place = door, self._listed(named)
        address.in_a_row[place] = address.in_a_row.get(place, 0) + 1
        if address.source is not None and address.in_a_row[place] >= _OFTEN:
            self._be_loud((peer, *place), f"{peer} is refused at {request.path[:80]}: it shows {_SHOWS[kind]}", now)
        address.refused = [*(at for at in address.refused[-_PATIENT:] if now - at < 60), now]
        if len(address.refused) > _PATIENT and self._held_up < _HELD_UP:
            self._held_up += 1
            try:
                await asyncio.sleep(_SLOWLY)
            finally:
                self._held_up -= 1

    def _welcome(self, request: web.BaseRequest, door: str, named: str, source: str | None) -> None:
        """Remember an address that showed the right thing; it ends what was said of it at this door, and no other."""
        peer, place = _peer(request), (door, self._listed(named))
        address = self._addresses.get(peer)
        if address is None:
            if source is None:
                return
            address = self._address(peer)
        address.source = source if source is not None else address.source
        address.in_a_row.pop(place, None)
        if self._loud.pop((peer, *place), None) is not None:
            self._say_loud(time.monotonic())

    def _listed(self, named: str) -> str:
        """Name a source as the file does; whoever makes names up is the unnamed one."""
        return named if named in self._doors.sources() else ""

    def _be_loud(self, who: tuple[str, str, str], said: str, now: float) -> None:
        before, _ = self._loud.get(who, (said, now))
        self._loud[who] = before, now
        self._say_loud(now)

    def _say_loud(self, now: float) -> None:
        """Tell of those who are refused, those who are it longest first."""
        for who in [who for who, (_, at) in self._loud.items() if now - at >= _LOUD_FOR]:
            del self._loud[who]
        if not self._loud:
            self._doors.quiet("auth_failures")
            return
        said = [one for one, _ in self._loud.values()]
        more = f"; and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
        let_in = "an address that was let in before is refused now"
        self._doors.ring("auth_failures", f"{let_in}: {'; '.join(said[:_NAMED])}{more}")

    def _address(self, peer: str) -> _Address:
        """Find what is remembered of a peer; of too many, those that were never let in are forgotten first."""
        found = self._addresses.get(peer)
        if found is None:
            found = self._addresses[peer] = _Address()
            if len(self._addresses) > _ADDRESSES:
                oldest = next((one for one, it in self._addresses.items() if it.source is None), peer)
                del self._addresses[oldest]
        return found


class _Bucket:
    """A token bucket, as golang.org/x/time/rate has it: `burst` at once, then one each `interval`."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._at: float | None = None

    def take(self, rate: Rate, now: float) -> bool:
        passed = float("inf") if self._at is None else (now - self._at) * 1_000_000 / rate.interval
        self._tokens, self._at = min(float(rate.burst), self._tokens + passed), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _unknown(shown: Given | None, need: str) -> Unauthenticated:
    if shown is None:
        return Unauthenticated(f"{need}: send it as HTTP Basic or as `Authorization: Bearer <token>`", "missing")
    return Unauthenticated(f"{need}, and this one is not known: was it changed on one side only?", "wrong")


def _peer(request: web.BaseRequest) -> str:
    return request.remote or "?"
