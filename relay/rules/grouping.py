"""Which alerts share a page: Alertmanager's route keys and group keys, and the dedup keys made of them."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from relay.rules.matchers import Matcher
from relay.rules.memo import Memo
from relay.rules.quoting import go_quote
from relay.rules.ruleset import Route

__all__ = ["dedup_key", "go_quote", "group_key", "group_labels", "route_key"]

_OPS = ("=", "!=", "=~", "!~")


def route_key(parent_key: str, matchers: Iterable[Matcher]) -> str:
    """Name a route as Alertmanager does (dispatch/route.go Key); the parent key of the root is ""."""
    ordered = sorted(matchers, key=lambda matcher: (matcher.name, matcher.value, _OPS.index(matcher.op)))
    own = "{" + ",".join(map(str, ordered)) + "}"
    return f"{parent_key}/{own}" if parent_key else own


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """Pick the labels that an alert is grouped by, sorted by name; one that it does not have is left out.

    An empty label is one it does not have: Alertmanager drops those at its own door (api/v2/api.go).
    With no `group_by` on the route's path there is one group for all, as in Alertmanager.
    """
    names = sorted(labels) if route.group_by_all else route.group_by or ()
    return {name: value for name in names if (value := labels.get(name, ""))}


_group_keys: Memo[str] = Memo()
_dedup_keys: Memo[str] = Memo()


def group_key(route: Route, labels: Mapping[str, str]) -> str:
    """Name the group of an alert: `{}/{env="prod"}:{alertname="X", cluster="a"}` (dispatch/dispatch.go GroupKey).

    Names are sorted as such, as in prometheus/common model/labelset_string.go (2024). Older Alertmanagers sort the
    texts `name="value"`, which differs only where one name is another with a digit after it.
    """
    if route.group_by_all:
        return _group_key(route, labels)
    key = (route.key, route.group_by, *map(labels.get, route.group_by or ()))
    known = _group_keys.get(key)
    if known is not None:
        return known
    fresh = _group_key(route, labels)
    return _group_keys.keep(key, len(fresh), fresh)


def _group_key(route: Route, labels: Mapping[str, str]) -> str:
    pairs = [f"{name}={go_quote(value)}" for name, value in group_labels(route, labels).items()]
    return f"{route.key}:{{{', '.join(pairs)}}}"


def dedup_key(namespace: str, group_key: str) -> str:
    """Make the dedup key of a group: lower-case hex sha256, as Alertmanager's own (notify/util.go Key.Hash).

    The namespace "" gives Alertmanager's native key; any other is mixed in.
    """
    key = (namespace, group_key)
    known = _dedup_keys.get(key)
    if known is not None:
        return known
    text = f"{namespace}\0{group_key}" if namespace else group_key
    return _dedup_keys.keep(key, len(text), sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
