"""Bends a body out of shape, in its JSON and in its bytes; the same seed and number give the same body."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Spot = tuple[Any, Any]
"""A list or dict, and the index or name of one of its values."""

WORDS = (
    *(
        "firing",
        "resolved",
        "FIRING",
        "suppressed",
        "",
        " ",
        "null",
        "true",
        "0",
        "-1",
        "critical",
        "warning",
        "4",
        "5",
    ),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-11-23T12:00:00+99:99", "-0001-01-01T00:00:00Z"),
    *(
        "2026-02-30T00:00:00Z",
        "2026-11-23 12:00:00 +0000 UTC m=+1.5",
        "1795393272",
        "2026-13-01",
        "10000-01-01T00:00:00Z",
    ),
    *(
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff\ud800",
        "\u202eevil",
        "\x1b[31mred",
        "\ufeff",
        "\u2028",
        "😀",
        "é" * 40,
        "\r\n",
    ),
    *("{{ 7 * 7 }}", "{% for i in range(9**9) %}x{% endfor %}", "<script>alert(1)</script>", "javascript:alert(1)"),
    *(
        "http://user:word@host/",
        "file:///etc/passwd",
        "'; DROP TABLE pages; --",
        "../../../etc/passwd",
        "%s%n%x",
        "${HOME}",
    ),
    *(
        "__proto__",
        "items",
        ".",
        "constructor",
        "alertname",
        "a" * 300,
        '{}:{alertname="Down"}',
        "\\",
        '"',
        "ffffffffffffffff",
    ),
    *("1e999", "NaN", "-0", "0x10", "1_000", "٣", "Infinity", "a,b", "a=b", "{", "}", "[]", "a\tb", "\u0085", "\uffff"),
)
"""Strings that have broken something somewhere."""
NUMBERS = (
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    0.1,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
)
TOKENS = (
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b"1e999",
        b"NaN",
        b"-",
        b"\x00",
        b"\xff",
        b"\xc3",
    ),
    *(
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\\ud800",
        b"\\u0000",
        b"\\x41",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"//",
        b"'",
        b"\n",
    ),
    *(
        b"\x1f\x8b",
        b"\xe2\x80\xa8",
        b"\x7f",
        b"0" * 40,
        b"9" * 5_000,
        b"[" * 600,
        b'{"a":' * 600,
        b'"alerts"',
        b'"groupKey":',
    ),
)
_ESCAPED = (b'"', b"\\")


def mutated(seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """Make body `number` of a run from these seeds."""
    chance = random.Random((seed << 40) ^ number)
    body = chance.choice(seeds)
    kind = chance.random()
    if kind < 0.02:
        return body
    if kind < 0.72:
        body = _restructured(body, seeds, chance)
    if kind >= 0.68:
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            body = chance.choice(_BYTES)(body, seeds, chance)
    return body


# Structure


def _restructured(body: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    try:
        document = [json.loads(body)]
        other = json.loads(chance.choice(seeds))
    except ValueError:
        return body
    for _ in range(chance.choice((1, 1, 2, 2, 3, 5, 12))):
        spots = list(_spots(document))
        where, key = chance.choice(spots)
        chance.choice(_STRUCTURE)(where, key, other, chance)
        if not document:
            document = [None]
    try:
        return _written(document[0], chance)
    except (RecursionError, ValueError):
        return body


def _written(document: Any, chance: random.Random) -> bytes:
    """Write JSON as senders do: compact or spread, in ASCII or not. Lone surrogates come as raw bytes then."""
    separators = chance.choice(((",", ":"), (", ", ": "), (" ,\n", "\t: ")))
    text = json.dumps(document, ensure_ascii=chance.random() < 0.6, separators=separators)
    return text.encode("utf-8", "surrogatepass")


def _spots(within: Any) -> "list[Spot]":
    found: list[Spot] = []
    waiting = [within]
    while waiting and len(found) < 4_000:
        one = waiting.pop()
        entries = one.items() if isinstance(one, dict) else enumerate(one)
        for key, value in entries:
            found.append((one, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


def _delete(where: Any, key: Any, _: Any, __: random.Random) -> None:
    del where[key]


def _replace(where: Any, key: Any, _: Any, chance: random.Random) -> None:
    where[key] = _value(chance)


def _value(chance: random.Random) -> Any:
    match chance.randrange(8):
        case 0 | 1 | 2:
            return chance.choice(WORDS)
        case 3:
            return chance.choice(NUMBERS)
        case 4:
            return chance.choice((None, True, False))
        case 5:
            return chance.choice(([], {}, [[]], [None], {"": ""}, [{}], {"labels": {}}, {"a": [1, {"b": None}]}))
        case 6:
            return chance.choice(WORDS) * chance.choice((2, 50, 3_000))
        case _:
            return _nested(chance.choice((3, 60, 400)))


def _nested(depth: int) -> Any:
    value: Any = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def _bend(where: Any, key: Any, _: Any, chance: random.Random) -> None:
    """Change a value a little: most bodies still say something then."""
    value = where[key]
    if isinstance(value, str):
        at = chance.randrange(len(value) + 1)
        where[key] = value[:at] + chance.choice(WORDS) + value[at + chance.choice((0, 0, 1, 5)) :]
    elif isinstance(value, bool) or value is None:
        where[key] = chance.choice(("", 0, "true", [], None, True))
    elif isinstance(value, int | float):
        where[key] = chance.choice((str(value), -value, value + 1, [value], *NUMBERS))
    else:
        where[key] = chance.choice((list(value), [value], {"x": value}, str(value)[:2_000], len(value)))


def _double(where: Any, key: Any, _: Any, chance: random.Random) -> None:
    """Say the same again: in a list as a copy, in an object under another name."""
    if isinstance(where, list):
        where[key:key] = [where[key]] * chance.choice((1, 2, 30))
    else:
        where[chance.choice(WORDS)] = where[key]


def _rename(where: Any, key: Any, _: Any, chance: random.Random) -> None:
    if isinstance(where, dict):
        value = where.pop(key)
        where[chance.choice((key.upper(), key + "x", key[:-1], "_" + key, chance.choice(WORDS)))] = value


def _crowd(where: Any, key: Any, _: Any, chance: random.Random) -> None:
    """Add many labels, alerts or words."""
    count = chance.choice((5, 60, 300))
    if isinstance(where, dict):
        where.update(
            (f"{chance.choice(('l', 'label_', 'é'))}{number}", chance.choice(WORDS)) for number in range(count)
        )
    else:
        where += [_value(chance) for _ in range(count // 5)]


def _foreign(where: Any, key: Any, other: Any, chance: random.Random) -> None:
    """Take a value from another body."""
    there, name = chance.choice(_spots([other]))
    where[key] = there[name]


_STRUCTURE: tuple[Callable[[Any, Any, Any, random.Random], None], ...] = (
    *(_delete, _delete, _replace, _replace, _bend, _bend, _bend, _double, _rename, _crowd, _foreign, _foreign),
)

# Bytes


def _cut(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    return body[: chance.randrange(len(body) + 1)]


def _flip(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    changed = bytearray(body)
    for _place in range(chance.choice((1, 1, 4, 40))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _insert(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.choice(TOKENS) + body[at:]


def _noise(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.randbytes(chance.choice((1, 3, 30))) + body[at + chance.choice((0, 3)) :]


def _drop(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + body[at + chance.choice((1, 2, 10, 200)) :]


def _again(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    start = chance.randrange(len(body) + 1)
    end = min(len(body), start + chance.choice((1, 20, 400)))
    return body[:end] + body[start:end] * chance.choice((1, 3)) + body[end:]


def _splice(body: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    return body[: chance.randrange(len(body) + 1)] + other[chance.randrange(len(other) + 1) :]


def _swap(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Put one token in place of another, wherever it stands."""
    return body.replace(
        chance.choice((*_ESCAPED, b"{", b",", b"[", b"firing", b"alerts", b"labels")), chance.choice(TOKENS), 3
    )


def _encode(body: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    text = body.decode("utf-8", "replace")
    return text.encode(chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp500")), "replace")


_BYTES: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    *(_cut, _flip, _flip, _insert, _insert, _noise, _drop, _again, _splice, _swap, _encode),
)
