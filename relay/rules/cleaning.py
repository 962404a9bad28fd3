"""Texts made fit to be sent: no control characters, no over-length, no address that is none."""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import quote

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_SURROGATE = re.compile("[\ud800-\udfff]")
# C0 and C1 controls but tab and newline, and what reorders text for the eye (bidi overrides and isolates).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_BLANKS = re.compile(r"\s+")

_GOOD_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/PART*)?(?:\?PART*)?(?:#PART*)?".replace(
        "PART", r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})"
    )
)
_ADDRESS = re.compile(r"(https?)://([^/?#\\\s]+)(/[^?#]*)?(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]+@)?(?:[A-Za-z0-9._~-]+|\[([0-9A-Fa-f:.]+)\])(?::\d{0,5})?")
_LOOSE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

LONGEST_ADDRESS = 8_192


def prose(text: str) -> str:
    """Strip what a screen must not be sent (ANSI, controls, bidi overrides); line breaks and tabs stay."""
    if text.isprintable():
        return text
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROL.sub("", _SURROGATE.sub("\ufffd", text))


def line(text: str) -> str:
    """The same on one line, with single blanks, trimmed."""
    if text.isprintable():
        # The one blank that is printable is the space.
        return (_BLANKS.sub(" ", text) if "  " in text else text).strip()
    text = prose(text)
    return _BLANKS.sub(" ", text).strip()


def cut(text: str, most: int) -> str:
    """Keep at most `most` characters, the last one an ellipsis where something was cut."""
    return truncate_runes(text, most)[0]


def truncate_runes(text: str, most: int) -> tuple[str, bool]:
    """Cut to `most` code points as Alertmanager's TruncateInRunes does (notify/util.go); say whether it was cut."""
    if len(text) <= most:
        return text, False
    if most <= 3:
        return text[:most], True
    return text[: most - 1] + "…", True


def truncate_bytes(text: str, most: int) -> tuple[str, bool]:
    """Cut to `most` UTF-8 bytes as Alertmanager's TruncateInBytes does; never inside a character."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text, False
    if most < 3:
        return "." * most, True
    return data[: most - 3].decode("utf-8", "ignore") + "…", True


@lru_cache(256)
def address(text: str, *, schemes: tuple[str, ...] = ("http://", "https://")) -> str:
    """Make an absolute http(s) URI of `text`, percent-encoding what must be; "" if it is none."""
    if len(text) <= LONGEST_ADDRESS and _GOOD_ADDRESS.fullmatch(text) and text.startswith(schemes):
        return text
    found = _ADDRESS.fullmatch(line(text)) if len(text) <= LONGEST_ADDRESS else None
    if found is None or f"{found[1].lower()}://" not in schemes or not _host_holds(found[2]):
        return ""
    path, query, fragment = (_encoded(part or "") for part in (found[3], found[4], (found[5] or "")[1:]))
    result = f"{found[1].lower()}://{found[2]}{path}{query}" + (f"#{fragment}" if found[5] else "")
    return result if len(result) <= LONGEST_ADDRESS else ""


def _host_holds(authority: str) -> bool:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return False
    if found[1] is None:
        return True
    try:
        ipaddress.IPv6Address(found[1])
    except ValueError:
        return False
    return True


def _encoded(part: str) -> str:
    # RFC 3986: everything outside unreserved, sub-delims and `:@/?` is written as %XX; what is encoded already stays.
    whole = _LOOSE_PERCENT.sub("%25", part)
    return quote(whole, safe="%-._~!$&'()*+,;=:@/?", errors="replace")
