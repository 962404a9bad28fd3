"""A disk that forgets: reads what a program wrote from a strace record, and says what a power cut would leave of it.

Durable is what was fsynced, and nothing else: of a file its bytes once the file was synced, of a name (created,
renamed, removed) once its directory was synced. Of all the rest any part may have reached the disk: some writes and
not others, and of one write some sectors and not others. Real file systems promise more; this holds on all of them.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

SECTOR = 512
"""Bytes that reach the disk together or not at all."""
CALLS = (
    *(
        "openat",
        "open",
        "creat",
        "write",
        "pwrite64",
        "writev",
        "pwritev",
        "sendto",
        "sendmsg",
        "ftruncate",
        "truncate",
    ),
    *(
        "fsync",
        "fdatasync",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "link",
        "linkat",
    ),
)
"""System calls that the record must hold."""


@dataclass(frozen=True, slots=True)
class Event:
    """One call of the record."""

    kind: str
    """create, write, truncate, sync_begun, synced, rename, unlink, mkdir or send."""
    at: float = 0.0
    """Seconds since 1970."""
    path: str = ""
    other: str = ""
    """Where a rename goes."""
    offset: int = -1
    """-1: at the end."""
    data: bytes = b""


def read(record: Path) -> Iterator[Event]:
    """Read a record of `strace -f -y -xx -ttt`, in the order in which calls began (of a sync also when it ended)."""
    begun: dict[str, str] = {}
    with record.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            process, at, call = _LINE.match(line).groups()  # type: ignore[union-attr]
            if call.startswith("<... "):
                text = begun.pop(process, "")
                yield from _ended(text + call.partition(" resumed>")[2], float(at))
            elif call.endswith("<unfinished ...>"):
                text = call.removesuffix("<unfinished ...>").rstrip()
                begun[process] = text
                yield from _begun(text, float(at))
            else:
                yield from _begun(call, float(at))
                yield from _ended(call, float(at))


_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.DOTALL)
_HEX = r'"((?:\\x[0-9a-f]{2})*)"'
_FILE = r"\d+<((?:\\x[0-9a-f]{2})+)(?:\(deleted\))?>"
_DIRECTORY = r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})+)>, "
_OPEN = re.compile(rf"openat\({_DIRECTORY}{_HEX}, ([A-Z_|]+)")
_WRITE = re.compile(rf"p?write(?:64)?\({_FILE}, {_HEX}(?:, \d+(?:, (\d+))?)?")
_SOCKET = re.compile(r"(?:write|writev|sendto|sendmsg)\(\d+<\\x73\\x6f\\x63\\x6b\\x65\\x74")
_TRUNCATE = re.compile(rf"ftruncate\({_FILE}, (\d+)")
_SYNC = re.compile(rf"f(?:data)?sync\({_FILE}")
_PATH = re.compile(rf"(unlink|mkdir)(?:at)?\((?:{_DIRECTORY})?{_HEX}")
_RENAME = re.compile(rf"rename(?:at2?)?\((?:{_DIRECTORY})?{_HEX}, (?:{_DIRECTORY})?{_HEX}")


def _begun(call: str, at: float) -> Iterator[Event]:
    """What counts from the moment a call begins: bytes may be on the disk, or with the peer, from then on."""
    if _SOCKET.match(call):
        yield Event("send", at, data=b"".join(_bytes(found) for found in re.findall(_HEX, call)))
    elif found := _WRITE.match(call):
        yield Event("write", at, _text(found[1]), offset=int(found[3]) if found[3] else -1, data=_bytes(found[2]))
    elif found := _SYNC.match(call):
        yield Event("sync_begun", at, _text(found[1]))


def _ended(call: str, at: float) -> Iterator[Event]:
    """What counts once a call came back without an error."""
    if re.search(r"\) += -1 ", call[-200:]):
        return
    if found := _SYNC.match(call):
        yield Event("synced", at, _text(found[1]))
    elif found := _TRUNCATE.match(call):
        yield Event("truncate", at, _text(found[1]), offset=int(found[2]))
    elif found := _OPEN.match(call):
        if "O_CREAT" in found[3] or "O_TRUNC" in found[3]:
            yield Event("create", at, _joined(found[1], found[2]), other="O_TRUNC" if "O_TRUNC" in found[3] else "")
    elif found := _PATH.match(call):
        yield Event(found[1], at, _joined(found[2], found[3]))
    elif found := _RENAME.match(call):
        yield Event("rename", at, _joined(found[1], found[2]), _joined(found[3], found[4]))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _text(text: str) -> str:
    return _bytes(text).decode(errors="replace").removesuffix(" (deleted)")


def _joined(directory: str | None, name: str) -> str:
    """Make a path absolute. Without a directory the name must be so already, as it is where programs are told paths."""
    return str(PurePosixPath(_text(directory or "")) / _text(name))


class Rest(StrEnum):
    """What becomes of everything that was not synced."""

    LOST = "lost"
    WRITTEN = "written"
    """All of it: the cut came, and the disk was quick."""
    SOME = "some"
    """Any of the writes and names, and not others."""
    TORN = "torn"
    """The same, and of the writes any of the sectors."""


@dataclass(slots=True)
class _Inode:
    """One file: what is on the disk, and what was written since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)
    size: int = 0

    def change(self, event: Event) -> None:
        if event.kind == "write" and event.offset < 0:
            event = Event("write", event.at, event.path, offset=self.size, data=event.data)
        self.size = event.offset if event.kind == "truncate" else max(self.size, event.offset + len(event.data))
        self.pending.append(event)

    def sync(self, count: int) -> None:
        for event in self.pending[:count]:
            _apply(self.durable, event)
        del self.pending[:count]

    def left(self, rest: Rest, chance: random.Random) -> bytes:
        if rest is Rest.LOST or not self.pending:
            return bytes(self.durable)
        content = bytearray(self.durable)
        share = chance.choice((0.1, 0.5, 0.9))
        for event in self.pending:
            if rest is Rest.WRITTEN:
                _apply(content, event)
            elif rest is Rest.TORN and event.kind == "write":
                for part in _sectors(event):
                    if chance.random() < share:
                        _apply(content, part)
            elif chance.random() < share:
                _apply(content, event)
        return bytes(content)


@dataclass(slots=True)
class _Directory:
    """The names in one directory: those on the disk, and what was done to them since."""

    durable: dict[str, "_Inode | _Directory"] = field(default_factory=dict)
    live: dict[str, "_Inode | _Directory"] = field(default_factory=dict)
    pending: list[tuple[str, str, "_Inode | _Directory"]] = field(default_factory=list)
    """(name, new name, what): a new file has no name before, one that was removed none after."""

    def change(self, name: str, to: str, what: "_Inode | _Directory") -> None:
        _name(self.live, name, to, what)
        self.pending.append((name, to, what))

    def sync(self, count: int) -> None:
        for change in self.pending[:count]:
            _name(self.durable, *change)
        del self.pending[:count]

    def left(self, rest: Rest, chance: random.Random, at: str, found: dict[str, bytes]) -> None:
        """Collect the files that are left, by path below this directory."""
        names = dict(self.durable)
        for change in self.pending:
            if rest is Rest.WRITTEN or (rest is not Rest.LOST and chance.random() < 0.5):
                _name(names, *change)
        for name, what in names.items():
            path = f"{at}/{name}" if at else name
            if isinstance(what, _Directory):
                what.left(rest, chance, path, found)
            else:
                found[path] = what.left(rest, chance)


class Disk:
    """The files below `root`. At the start there is, and is durable, what lies in `start`."""

    def __init__(self, root: Path, start: Path) -> None:
        self._root = root
        self._top = _loaded(start)
        self._syncing: dict[str, list[int]] = {}

    def play(self, event: Event) -> bool:
        """Let one event happen; False where it concerns no file below the root."""
        if not self.holds(event):
            return False
        match event.kind:
            case "create":
                self._create(event)
            case "mkdir":
                self._parent(event.path).change("", _last(event.path), _Directory())
            case "unlink":
                parent, name = self._parent(event.path), _last(event.path)
                if name in parent.live:
                    parent.change(name, "", parent.live[name])
            case "rename":
                parent, name = self._parent(event.path), _last(event.path)
                assert self._parent(event.other) is parent, f"{event} goes to another directory"
                parent.change(name, _last(event.other), parent.live[name])
            case "sync_begun":
                what = self._find(event.path)
                self._syncing.setdefault(event.path, []).append(len(what.pending) if what is not None else 0)
            case "synced":
                what, count = self._find(event.path), self._syncing[event.path].pop(0)
                if what is not None:
                    what.sync(count)
            case _:
                what = self._find(event.path)
                if isinstance(what, _Inode):
                    what.change(event)
        return True

    def holds(self, event: Event) -> bool:
        """Say whether an event concerns a file of this disk."""
        return event.path.startswith(f"{self._root}")

    def left(self, rest: Rest, chance: random.Random) -> Mapping[str, bytes]:
        """Say what a power cut at this moment leaves: files by path below the root."""
        found: dict[str, bytes] = {}
        self._top.left(rest, chance, "", found)
        return found

    def _create(self, event: Event) -> None:
        parent, name = self._parent(event.path), _last(event.path)
        what = parent.live.get(name)
        if what is None:
            parent.change("", name, _Inode())
        elif event.other == "O_TRUNC" and isinstance(what, _Inode):
            what.change(Event("truncate", event.at, event.path, offset=0))

    def _parent(self, path: str) -> _Directory:
        found = self._find(str(PurePosixPath(path).parent))
        assert isinstance(found, _Directory), f"{path} is in no directory of the record"
        return found

    def _find(self, path: str) -> "_Inode | _Directory | None":
        what: _Inode | _Directory | None = self._top
        for part in PurePosixPath(path).relative_to(self._root).parts:
            what = what.live.get(part) if isinstance(what, _Directory) else None
        return what


def _loaded(directory: Path) -> _Directory:
    names: dict[str, _Inode | _Directory] = {}
    for path in directory.iterdir():
        content = b"" if path.is_dir() else path.read_bytes()
        names[path.name] = _loaded(path) if path.is_dir() else _Inode(bytearray(content), size=len(content))
    return _Directory(dict(names), names)


def _last(path: str) -> str:
    return PurePosixPath(path).name


def _name(names: "dict[str, _Inode | _Directory]", name: str, to: str, what: "_Inode | _Directory") -> None:
    if name and names.get(name) is what:
        del names[name]
    if to:
        names[to] = what


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.offset :]
        content.extend(bytes(event.offset - len(content)))
        return
    end = event.offset + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.offset : end] = event.data


def _sectors(event: Event) -> Iterator[Event]:
    """Cut a write where the sectors of the disk begin."""
    start, end = event.offset, event.offset + len(event.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        part = event.data[start - event.offset : stop - event.offset]
        yield Event("write", event.at, event.path, offset=start, data=part)
        start = stop
