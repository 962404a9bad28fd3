"""Looks at where the store lies: on a network file system, or on one that forgets."""

from pathlib import Path

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"}
)
_FORGETS = frozenset({"tmpfs", "ramfs"})
_MOUNTS = Path("/proc/mounts")


def place_warnings(directory: Path, mounts: str | None = None) -> tuple[str, ...]:
    """Say what is wrong with where a directory lies, and what to do; () if nothing is, or nobody knows.

    `mounts` has the form of /proc/mounts (proc(5)).
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ()
    kind = _kind(directory.absolute(), mounts)
    if kind in _REMOTE:
        why = "its locks and its log are not safe there, and a database may be damaged"
        return (f"{directory} lies on {kind}, a network file system: {why}; give --storage.path a local disk",)
    if kind in _FORGETS:
        return (f"{directory} lies on {kind}: all pages are forgotten at a restart of the machine; use a disk",)
    return ()


def _kind(directory: Path, mounts: str) -> str:
    best, kind = -1, ""
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = Path(words[1].replace("\\040", " "))
        if directory.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), words[2]
    return kind
