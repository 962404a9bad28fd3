"""Go's and Alertmanager's template functions as Jinja expressions.

Source: github.com/prometheus/alertmanager template/template.go DefaultFuncs; text/template's predefined functions.
"""

import re
from collections.abc import Callable, Sequence

from relay.importing.values import Kind, Tight, Untranslatable, Value, label, quoted, string

Arguments = Sequence[Value]

_SIZED = (Kind.ALERTS, Kind.MAP, Kind.PAIRS, Kind.STRINGS)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_COUNTS = {"alerts.firing": "num_firing", "alerts.resolved": "num_resolved"}


def call(name: str, arguments: Arguments) -> Value:
    """Write a call of a function. Raises Untranslatable."""
    if name in _SPECIAL:
        return _SPECIAL[name](arguments)
    if name in _PLAIN:
        wanted, made, written = _PLAIN[name]
        _expect(name, arguments, *wanted)
        return arguments[-1].filtered(written, *arguments[:-1], kind=made)
    if name in _COMPARED:
        return _compared(name, arguments)
    raise Untranslatable(f"the function {name} has no like here")


_S, _T = Kind.STRING, Kind.TIME
_PLAIN: dict[str, tuple[tuple[Kind, ...], Kind, str]] = {
    "toUpper": ((_S,), _S, "to_upper"),
    "toLower": ((_S,), _S, "to_lower"),
    "title": ((_S,), _S, "title"),
    "trimSpace": ((_S,), _S, "trim_space"),
    "urlUnescape": ((_S,), _S, "url_unescape"),
    "base64encode": ((_S,), _S, "base64encode"),
    "base64decode": ((_S,), _S, "base64decode"),
    "join": ((_S, Kind.STRINGS), _S, "join"),
    "match": ((_S, _S), Kind.BOOLEAN, "match"),
    "reReplaceAll": ((_S, _S, _S), _S, "re_replace_all"),
    "date": ((_S, _T), _S, "date"),
    "tz": ((_S, _T), _T, "tz"),
    "since": ((_T,), Kind.SPAN, "since"),
    "toDate": ((_S, _S), _T, "to_date"),
    "mustToDate": ((_S, _S), _T, "must_to_date"),
}
"""By name: what it takes (the value last), what it makes, and the filter that does the same."""

_COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _expect(name: str, arguments: Arguments, *kinds: Kind) -> None:
    if len(arguments) != len(kinds):
        raise Untranslatable(f"{name} takes {len(kinds)} arguments, not {len(arguments)}")
    for argument, kind in zip(arguments, kinds, strict=True):
        if argument.kind != kind:
            raise Untranslatable(f"{name} is given {argument.kind} where it takes {kind}")


def _compared(name: str, arguments: Arguments) -> Value:
    if len(arguments) < 2 or (len(arguments) > 2 and name != "eq"):
        raise Untranslatable(f"{name} is given {len(arguments)} arguments")
    first, *others = arguments
    ordered = (Kind.STRING, *_NUMBERS) if name not in ("eq", "ne") else (Kind.STRING, *_NUMBERS, Kind.BOOLEAN)
    if first.kind not in ordered or any(other.kind != first.kind for other in others):
        # Go refuses to compare kinds that differ, and the notification fails.
        raise Untranslatable(f"{name} compares {first.kind} with {' and '.join(other.kind for other in others)}")
    left = first.at_least(Tight.JOINED)
    if len(others) > 1:
        listed = ", ".join(other.code for other in others)
        return Value(f"{left} in ({listed})", Kind.BOOLEAN, Tight.LOOSE)
    return Value(f"{left} {_COMPARED[name]} {others[0].at_least(Tight.JOINED)}", Kind.BOOLEAN, Tight.LOOSE)


def _chosen(word: str) -> Callable[[Arguments], Value]:
    """`and`, `or`: both give one of their arguments, in Go as in Jinja."""

    def choose(arguments: Arguments) -> Value:
        kinds = {argument.kind for argument in arguments}
        if not arguments:
            raise Untranslatable(f"{word} is given nothing")
        kind = kinds.pop() if len(kinds) == 1 else Kind.BOOLEAN
        if kinds:
            arguments = [truth(argument) for argument in arguments]
        parts = (argument.at_least(Tight.JOINED) for argument in arguments)
        return Value(f" {word} ".join(parts), kind, Tight.LOOSE) if len(arguments) > 1 else arguments[0]

    return choose


def truth(value: Value) -> Value:
    """Make a boolean of a value that is only asked whether it is there; what Go prints of it is lost."""
    if value.kind == Kind.BOOLEAN:
        return value
    return Value(f"not not {value.at_least(Tight.FILTERED)}", Kind.BOOLEAN, Tight.LOOSE)


def _not(arguments: Arguments) -> Value:
    if len(arguments) != 1:
        raise Untranslatable("not takes one argument")
    return Value(f"not {arguments[0].at_least(Tight.FILTERED)}", Kind.BOOLEAN, Tight.LOOSE)


def _len(arguments: Arguments) -> Value:
    if len(arguments) != 1 or arguments[0].kind not in _SIZED:
        # Go counts the bytes of a string.
        raise Untranslatable("len is given no list or map")
    if arguments[0].code in _COUNTS:
        return Value(_COUNTS[arguments[0].code], Kind.INTEGER)
    return arguments[0].filtered("length", kind=Kind.INTEGER)


_ELEMENTS = {Kind.ALERTS: Kind.ALERT, Kind.PAIRS: Kind.PAIR, Kind.STRINGS: Kind.STRING}


def _index(arguments: Arguments) -> Value:
    if not arguments:
        raise Untranslatable("index is given nothing")
    found, *keys = arguments
    for key in keys:
        if found.kind == Kind.MAP and key.kind == Kind.STRING:
            held = found.at_least(Tight.NAMED)
            known = key.literal is not None
            found = label(found, key.literal or "") if known else Value(f"{held}[{key.code}]", Kind.STRING)
        elif found.kind in _ELEMENTS and key.kind == Kind.INTEGER and not key.code.startswith("-"):
            found = Value(f"{ordered(found).at_least(Tight.NAMED)}[{key.code}]", _ELEMENTS[found.kind])
        else:
            raise Untranslatable(f"index looks up {key.kind} in {found.kind}")
    return found


def ordered(value: Value) -> Value:
    """Put alerts in Alertmanager's order; the relay has the worst first."""
    return value.field("by_labels", Kind.ALERTS) if value.kind == Kind.ALERTS else value


def _as_it_is(arguments: Arguments) -> Value:
    if len(arguments) != 1 or arguments[0].kind != Kind.STRING:
        raise Untranslatable("safeHtml and safeUrl take one string")
    return arguments[0]


def _urlquery(arguments: Arguments) -> Value:
    _expect("urlquery", arguments, Kind.STRING)
    # Go's QueryEscape: a blank is a plus, a slash is escaped; Jinja's urlencode leaves the slash.
    plus = arguments[0].filtered("urlencode").filtered("replace", string("%20"), string("+"))
    return plus.filtered("replace", string("/"), string("%2F"))


def _string_slice(arguments: Arguments) -> Value:
    _expect("stringSlice", arguments, *(Kind.STRING for _ in arguments))
    return Value(f"string_slice({', '.join(argument.code for argument in arguments)})", Kind.STRINGS)


def _humanized(arguments: Arguments) -> Value:
    if len(arguments) != 1 or arguments[0].kind not in (Kind.SPAN, Kind.STRING, *_NUMBERS):
        raise Untranslatable("humanizeDuration takes one number or length of time")
    return arguments[0].filtered("humanize_duration", kind=Kind.STRING)


def _to_json(arguments: Arguments) -> Value:
    if len(arguments) != 1 or arguments[0].kind not in (Kind.ALERTS, Kind.ALERT, Kind.MAP, Kind.STRINGS, Kind.STRING):
        raise Untranslatable("toJson is given what is written otherwise here")
    return ordered(arguments[0]).filtered("to_json", kind=Kind.STRING)


def _now(arguments: Arguments) -> Value:
    _expect("now", arguments)
    return Value("now", Kind.TIME)


def _joined(arguments: Arguments) -> Value:
    """Write `print` and `printf` as texts put together by `~`."""
    if not arguments:
        return string("")
    if len(arguments) == 1 and arguments[0].kind == Kind.STRING:
        return arguments[0]
    if all(argument.literal is not None for argument in arguments):
        return string("".join(argument.literal or "" for argument in arguments))
    parts = (argument.at_least(Tight.FILTERED) for argument in arguments)
    # One value alone has to become a text too.
    code = " ~ ".join(parts) if len(arguments) > 1 else f"{arguments[0].at_least(Tight.FILTERED)} | string"
    return Value(code, Kind.STRING, Tight.JOINED if len(arguments) > 1 else Tight.FILTERED)


def _print(arguments: Arguments) -> Value:
    parts: list[Value] = []
    for before, argument in zip((None, *arguments), arguments, strict=False):
        if argument.kind not in (Kind.STRING, Kind.INTEGER):
            raise Untranslatable(f"print is given {argument.kind}")
        # Go puts a blank between two operands where neither is a string (fmt.Sprint).
        if before is not None and Kind.STRING not in (before.kind, argument.kind):
            parts.append(string(" "))
        parts.append(argument)
    return _joined(parts)


_VERB = re.compile(r"%([-+0 #]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")
_TAKES = {"s": (Kind.STRING,), "d": (Kind.INTEGER,), "f": (Kind.DECIMAL,), "v": (Kind.STRING, Kind.INTEGER)}


def _printf(arguments: Arguments) -> Value:
    if not arguments or arguments[0].literal is None:
        raise Untranslatable("printf takes its format from elsewhere")
    layout, given = arguments[0].literal, list(arguments[1:])
    parts: list[Value] = []
    at = 0
    for verb in _VERB.finditer(layout):
        parts += [string(layout[at : verb.start()])] if verb.start() > at else []
        parts.append(string("%") if verb[4] == "%" else _formatted(verb, given))
        at = verb.end()
    if given or "%" in _VERB.sub("", layout):
        raise Untranslatable(f"printf {quoted(layout)} has not one verb for each argument")
    return _joined([*parts, *([string(layout[at:])] if at < len(layout) else [])])


def _formatted(verb: "re.Match[str]", given: list[Value]) -> Value:
    if not given or given[0].kind not in _TAKES.get(verb[4], ()):
        what = given[0].kind if given else "nothing"
        raise Untranslatable(f"printf writes {what} by {verb[0]}")
    value = given.pop(0)
    if verb[0] in ("%s", "%d", "%v"):
        return value
    if "#" in verb[1] or len(verb[2]) > 3 or (verb[3] and verb[4] == "d") or (verb[4] != "f" and "0" in verb[1]):
        raise Untranslatable(f"printf has no {verb[0]} in Jinja")
    kind = "s" if value.kind == Kind.STRING else "d" if value.kind == Kind.INTEGER else "f"
    return string(verb[0][:-1] + kind).filtered("format", value)


_SPECIAL: dict[str, Callable[[Arguments], Value]] = {
    "and": _chosen("and"),
    "or": _chosen("or"),
    "not": _not,
    "len": _len,
    "index": _index,
    "safeHtml": _as_it_is,
    "safeUrl": _as_it_is,
    "urlquery": _urlquery,
    "stringSlice": _string_slice,
    "humanizeDuration": _humanized,
    "toJson": _to_json,
    "now": _now,
    "print": _print,
    "printf": _printf,
}
