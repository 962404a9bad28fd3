"""Whether matchers can be shown to take all that others take, or nothing at all; in doubt the answer is no."""

from collections.abc import Mapping, Sequence
from itertools import product

from relay.rules.matchers import Matcher

MOST_CASES = 2_000
"""How many combinations of values are gone through before nothing is claimed."""
_ANYTHING = frozenset({".*", "^(?:.*)$"})
"""Takes every value but one with a line break, which is taken for every value here."""
_SOMETHING = frozenset({".+", "^(?:.+)$"})

_META = frozenset(r"\.+*?()[]{}^$")

_Value = str | None
"""A value of one label; None: any that none of the matchers in question names."""


def contradiction(matchers: Sequence[Matcher]) -> tuple[Matcher, ...]:
    """Find matchers of one label that no value satisfies together; () if there are none that can be shown to be so."""
    for name in dict.fromkeys(matcher.name for matcher in matchers):
        mine = tuple(dict.fromkeys(matcher for matcher in matchers if matcher.name == name))
        if not _values(mine, mine):
            return mine
    return ()


def covers(wide: Sequence[Matcher], narrow: Sequence[Matcher]) -> bool:
    """Say whether every label set that `narrow` takes is certainly taken by `wide`."""
    for name in {matcher.name for matcher in wide}:
        mine = [matcher for matcher in narrow if matcher.name == name]
        asked = [matcher for matcher in wide if matcher.name == name]
        if not all(_takes(matcher, value, mine) for value in _values(mine, (*mine, *asked)) for matcher in asked):
            return False
    return True


def together_cover(wides: Sequence[Sequence[Matcher]], narrow: Sequence[Matcher]) -> bool:
    """Say whether every label set that `narrow` takes is certainly taken by one of `wides`."""
    names = sorted({matcher.name for wide in wides for matcher in wide})
    mine = {name: [matcher for matcher in narrow if matcher.name == name] for name in names}
    asked = {name: [matcher for wide in wides for matcher in wide if matcher.name == name] for name in names}
    values = [_values(mine[name], (*mine[name], *asked[name])) for name in names]
    cases = 1
    for some in values:
        cases *= len(some)
    if not wides or cases > MOST_CASES:
        return False
    return all(
        any(_all_take(wide, dict(zip(names, case, strict=True)), mine) for wide in wides) for case in product(*values)
    )


def apart(one: Sequence[Matcher], other: Sequence[Matcher], labels: Sequence[str]) -> str:
    """Find a label for which no value satisfies both lists; "" if there is none that can be shown to be so."""
    for name in labels:
        both = tuple(matcher for matcher in (*one, *other) if matcher.name == name)
        if both and not _values(both, both):
            return name
    return ""


def _all_take(wide: Sequence[Matcher], case: Mapping[str, _Value], narrow: Mapping[str, Sequence[Matcher]]) -> bool:
    return all(_takes(matcher, case[matcher.name], narrow[matcher.name]) for matcher in wide)


def _values(mine: Sequence[Matcher], named_by: Sequence[Matcher]) -> list[_Value]:
    """List the values that `mine` allow a label, among those that `named_by` name; None for all others."""
    listed = [words for matcher in mine if (words := _listed(matcher)) is not None]
    if listed:
        known: set[str] = set(frozenset.intersection(*listed))
    else:
        known = {"", *(value for matcher in named_by for value in _named(matcher))}
    found: list[_Value] = [*sorted(value for value in known if all(matcher.test(value) for matcher in mine))]
    return found if listed or _shut(mine) else [*found, None]


def _shut(mine: Sequence[Matcher]) -> bool:
    """Say whether no unnamed value is left: one expression is asked for and ruled out at once."""
    wanted = {matcher.value for matcher in mine if matcher.op == "=~"}
    ruled_out = {matcher.value for matcher in mine if matcher.op == "!~"}
    return bool(wanted & ruled_out) or not ruled_out.isdisjoint(_ANYTHING | _SOMETHING)


def _listed(matcher: Matcher) -> frozenset[str] | None:
    """List every value that a matcher takes; None where that cannot be done."""
    if matcher.values is not None or matcher.op != "=~":
        return matcher.values
    return _words(matcher.value)


def _named(matcher: Matcher) -> frozenset[str]:
    """List the values that a matcher takes or refuses by name."""
    if matcher.op in ("=", "!="):
        return frozenset((matcher.value,))
    return _words(matcher.value) or frozenset()


def _words(pattern: str) -> frozenset[str] | None:
    """List what an expression matches, also one of `match_re` with its anchors (config/routes.py)."""
    bare = pattern[4:-2] if pattern.startswith("^(?:") and pattern.endswith(")$") else pattern
    return frozenset(bare.split("|")) if _META.isdisjoint(bare) else None


def _takes(matcher: Matcher, value: _Value, mine: Sequence[Matcher]) -> bool:
    """Say whether a matcher certainly takes a value of a label that `mine` allow."""
    if value is not None:
        return matcher.test(value)
    if any(matcher.op == one.op and matcher.value == one.value for one in mine):
        return True
    if matcher.op == "!=":
        return True  # what it refuses is named
    if matcher.op == "!~":
        return _words(matcher.value) is not None
    return matcher.op == "=~" and (matcher.value in _ANYTHING or matcher.value in _SOMETHING)
