"""The text of a body, whatever speech it is in: what cannot be read at all is refused with its place and a remedy."""

import re
from hashlib import sha256

from msgspec import Raw

from relay.errors import BadBody

_BOM = b"\xef\xbb\xbf"
_PIECE = 64 * 1024
_FOREIGN = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "compressed (gzip)",
    b"\x28\xb5": "compressed (zstd)",
}


def without_mark(body: bytes) -> bytes:
    """Drop a byte order mark; the very same bytes where there is none."""
    return body[len(_BOM) :] if body.startswith(_BOM) else body


def _is_blank(body: bytes) -> bool:
    """Say whether there is nothing but white space; a piece at a time, so that other threads get their turn."""
    return all(body[at : at + _PIECE].isspace() for at in range(0, len(body), _PIECE))


def refuse_foreign(body: bytes, remedy: str) -> None:
    """Raise BadBody for a body that is empty, compressed or in another encoding than UTF-8."""
    if _is_blank(body):
        raise BadBody(f"the body is empty; {remedy}", "empty")
    kind = _FOREIGN.get(body[:2]) or ("UTF-16 or UTF-32" if b"\x00" in body[:4] else None)
    if kind is not None:
        raise BadBody(f"the body is {kind} at byte 0; send plain UTF-8", "encoding")


def malformed(body: bytes, error: Exception, remedy: str) -> BadBody:
    """Say where a body stops being JSON; `error` is what msgspec raised."""
    if isinstance(error, RecursionError):
        return BadBody(f"the body is nested too deeply to be read; {remedy}", "malformed")
    at = stopped_at(error)
    if at is None:
        return BadBody(f"not JSON: it breaks off {place(body, len(body))}; send the whole body", "malformed")
    what = str(error).removeprefix("JSON is malformed: ").partition(" (byte")[0]
    return BadBody(f"not JSON: {what} {place(body, at)}; {remedy}", "malformed")


def stopped_at(error: Exception) -> int | None:
    """Find where msgspec stopped; None where the text was too short for it."""
    found = re.search(r"(trailing characters )?\(byte (\d+)\)$", str(error))
    return int(found[2]) - bool(found[1]) if found else None


def place(body: bytes, at: int) -> str:
    """Say where a byte is, as an editor would."""
    line, column = body.count(b"\n", 0, at) + 1, at - body.rfind(b"\n", 0, at)
    return f"at line {line}, column {column} (byte {at})"


def digest_of(text: bytes | Raw) -> bytes:
    """Name these exact bytes with 16 bytes; stable across processes."""
    # With SHA instructions, which servers have, this is half again as fast as blake2b.
    return sha256(text).digest()[:16]
