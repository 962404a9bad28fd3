"""What fires now, alert by alert, with what keeps it quiet; runs on a connection that cannot write."""

from collections.abc import Iterable
from sqlite3 import Connection

import msgspec

from relay.page import Member, SuppressionKind
from relay.rules.ledger import Held, Role
from relay.store import codec
from relay.store.ledger import read_alerts
from relay.store.queries import query

_NAMED = 10
"""Inhibiting alerts that are named of one alert; there may be thousands."""


class Firing(msgspec.Struct, frozen=True):
    """One firing alert."""

    alert: Held
    members: tuple[Member, ...]
    """Where it fires; () where it pages nobody."""
    inhibited_by: tuple[str, ...] = ()
    """Fingerprints of alerts that inhibit it, at most ten."""


def read_firing(db: Connection, after: int, limit: int) -> list[Firing]:
    """List firing alerts by id, from the first one after `after` (start with -1)."""
    alerts = [codec.held(row) for row in db.execute(query("firing", "firing_alerts"), (after, limit)).fetchall()]
    members: dict[int, list[Member]] = {alert.id: [] for alert in alerts}
    for row in db.execute(query("firing", "firing_members"), (codec.ids(list(members)),)).fetchall():
        member = codec.member(row)
        members[member.alert].append(member)
    found = [(alert, tuple(members[alert.id])) for alert in alerts]
    inhibitors = {alert.id: _inhibitors(db, alert) for alert, places in found if _is_inhibited(places)}
    names = _fingerprints(db, inhibitors.values())
    return [
        Firing(alert, places, tuple(names[one] for one in inhibitors.get(alert.id, ()) if one in names))
        for alert, places in found
    ]


def _is_inhibited(members: Iterable[Member]) -> bool:
    return any(one.kind is SuppressionKind.INHIBITION for member in members for one in member.suppressions)


def _inhibitors(db: Connection, alert: Held) -> list[int]:
    """Name who inhibits at the keys that an alert watches; at those of silences nobody does."""
    keys = [link.key for link in alert.links if link.role is Role.WATCHER]
    text = query("firing", "inhibiting")
    found = (one for key in keys for (one,) in db.execute(text, (key, _NAMED)) if one != alert.id)
    return list(dict.fromkeys(found))[:_NAMED]


def _fingerprints(db: Connection, inhibitors: Iterable[list[int]]) -> dict[int, str]:
    wanted = list(dict.fromkeys(one for some in inhibitors for one in some))
    return {held.id: held.fingerprint for held in read_alerts(db, wanted)} if wanted else {}
