"""Reads a file that people wrote as text, or says why it cannot be read."""

from pathlib import Path

from relay.config import yaml


class Unreadable(Exception):
    """The file cannot even be looked at."""

    def __init__(self, message: str, text: bytes = b"", line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.text = text
        self.line = line
        self.column = column


def read_file(path: Path) -> bytes:
    """Read a whole file; raise Unreadable."""
    try:
        if path.is_fifo():
            raise Unreadable("this is a pipe, which cannot be read again at a reload: write it to a file")
        with path.open("rb") as file:
            text = file.read(yaml.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot read the file: {getattr(error, 'strerror', None) or error}") from None
    if len(text) > yaml.MAX_BYTES:
        raise Unreadable(f"larger than {yaml.MAX_BYTES // 1024 // 1024} MiB, which no configuration is")
    return text


def decoded(text: bytes) -> str:
    """Decode what was read; raise Unreadable with the place of what is no UTF-8."""
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"not UTF-8: the byte 0x{text[error.start]:02x}; save the file as UTF-8"
        raise Unreadable(message, text, line, column) from None
