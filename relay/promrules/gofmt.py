"""Writes values as Go's fmt does: `%v` of a float64, and `printf` with the verbs that rules use."""

import math
import re
from collections.abc import Mapping, Sequence

from relay.rules.quoting import go_quote

_VERB = re.compile(r"%(?P<flags>[+\-# 0]*)(?P<width>\d+|\*)?(?:\.(?P<precision>\d*|\*))?(?P<verb>.)?", re.DOTALL)
_WIDEST = 1_000
"""Columns of a width, digits of a precision."""


_LARGE = 6
"""From ten to this power on a number without a precision is written as `1e+06` (strconv/ftoa.go)."""


class CannotFormat(ValueError):
    """A format that no rule should have: a width of a million, a width as an argument."""


def value_text(value: object) -> str:
    """Write a value as `{{ value }}` shows it, which is `%v`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<no value>"
    if isinstance(value, float):
        return general(value)
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{name}:{value_text(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value)
    return "[" + " ".join(map(value_text, value)) + "]"


def general(value: float) -> str:
    """Write a float64 with the fewest digits that name it, `1e+06` from a million on (strconv.FormatFloat 'g', -1)."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, (digits, power) = "-" if value < 0 else "", _digits(abs(value))
    if -5 < power < _LARGE:
        return sign + _plain(digits, power)
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _digits(value: float) -> tuple[str, int]:
    """Return the shortest digits of a number, and the power of ten of the first one."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    lead = len(whole.lstrip("0")) - 1 if whole.strip("0") else -1 - (len(fraction) - len(fraction.lstrip("0")))
    return digits.rstrip("0") or "0", lead + int(exponent or 0)


def _plain(digits: str, power: int) -> str:
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    whole, fraction = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def significant(value: float, digits: int = 4) -> str:
    """Write `%.4g`."""
    if math.isnan(value) or math.isinf(value):
        return general(value)
    return f"{value:.{digits}g}"


def printf(form: str, *values: object) -> str:
    """Write values by a format, with Go's own marks where they do not fit: `%!d(float64=1.5)`."""
    rest = list(values)

    def one(found: re.Match[str]) -> str:
        verb = found["verb"]
        if verb == "%":
            return "%"
        if verb is None:
            return "%!(NOVERB)"
        if "*" in (found["width"], found["precision"]):
            raise CannotFormat("a width or precision that is an argument")
        if not rest:
            return f"%!{verb}(MISSING)"
        return _padded(found, _verb(found, verb, rest.pop(0)))

    written = _VERB.sub(one, form)
    extra = ", ".join(f"{_kind(value)}={value_text(value)}" for value in rest)
    return f"{written}%!(EXTRA {extra})" if rest else written


def _verb(found: re.Match[str], verb: str, value: object) -> str:
    precision = None if found["precision"] is None else int(found["precision"] or 0)
    if (precision or 0) > _WIDEST:
        raise CannotFormat("a precision of more than a thousand")
    if value is None:
        return "<nil>" if verb == "v" else f"%!{verb}(<nil>)"
    written = None
    if verb in "vs" and not isinstance(value, bool | int | float):
        written = value_text(value)[:precision]
    elif verb == "v":
        written = _float("g", value, precision) if isinstance(value, float) else value_text(value)
    elif verb == "t" and isinstance(value, bool):
        written = value_text(value)
    elif verb == "q" and isinstance(value, str):
        written = go_quote(value)
    elif verb in "dxXobc" and isinstance(value, int) and not isinstance(value, bool):
        written = chr(value) if verb == "c" else format(value, verb)
    elif verb in "xX" and isinstance(value, str):
        written = value.encode().hex().upper() if verb == "X" else value.encode().hex()
    elif verb in "eEfFgG" and isinstance(value, float):
        written = _float(verb, value, precision)
    if written is None:
        return f"%!{verb}({_kind(value)}={value_text(value)})"
    plus = "+" in found["flags"] and isinstance(value, int | float) and not written.startswith(("-", "+"))
    blank = " " in found["flags"] and isinstance(value, int | float) and not written.startswith(("-", "+"))
    return ("+" if plus else " " if blank else "") + written


def _float(verb: str, value: float, precision: int | None) -> str:
    if math.isnan(value) or math.isinf(value):
        return general(value)
    if verb in "gG":
        written = general(value) if precision is None else significant(value, precision or 1)
        return written.upper() if verb == "G" else written
    return format(value, f".{6 if precision is None else precision}{verb}")


def _padded(found: re.Match[str], written: str) -> str:
    width = int(found["width"] or 0)
    if width > _WIDEST:
        raise CannotFormat("a width of more than a thousand")
    if len(written) >= width:
        return written
    if "-" in found["flags"]:
        return written.ljust(width)
    if "0" in found["flags"]:
        sign = written[:1] if written[:1] in "+-" else ""
        return sign + written[len(sign) :].rjust(width - len(sign), "0")
    return written.rjust(width)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if value is None:
        return "<nil>"
    return {int: "int", float: "float64", str: "string"}.get(type(value), "map[string]string")
