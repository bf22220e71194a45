"""Run a command that sees a directory at another path, which nothing else on the machine sees.

    python -I -S private_mount.py DIRECTORY /opt/ml COMMAND …

By a mount in a namespace of its own, on Linux and without root, where the machine allows it; the
exit status is 125 if it does not. The standard library alone: it becomes the command.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

REFUSED, NOT_FOUND = 125, 127
WORKING_DIRECTORY = "CONTAINER_DIRECTORY"
"""The variable with the command's working directory, as the command sees it."""

_NEW_MOUNTS, _NEW_USER = 0x20000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000


def show(directory: Path, path: Path) -> None:
    """Let this process, and what it starts, see a directory at a path.

    Raises:
        OSError: If the machine does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    mount, unshare = _system_calls()
    unshare(_NEW_USER | _NEW_MOUNTS)
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path("/proc/self", file).write_text(text)
    mount("none", "/", None, _RECURSIVE | _PRIVATE)

    def bind(source: Path, target: Path) -> None:
        mount(str(source), str(target), None, _BIND | _RECURSIVE)

    if not path.is_dir():
        # Nobody but root may make it: cover its parent by an empty one, with the same entries.
        aside = aside_of(directory)
        aside.mkdir(exist_ok=True)
        bind(path.parent, aside)
        mount("none", str(path.parent), "tmpfs", 0)
        for entry in aside.iterdir():
            copy = path.parent / entry.name
            if entry.is_symlink():
                copy.symlink_to(entry.readlink())
                continue
            copy.mkdir() if entry.is_dir() else copy.touch()
            bind(entry, copy)
        path.mkdir()
    bind(directory, path)


def aside_of(directory: Path) -> Path:
    """Return where a directory's process sees the parent of the path that it is shown at."""
    return directory.with_name(f"{directory.name}.parent")


def _system_calls() -> tuple[Callable[..., None], Callable[[int], None]]:
    """Return Linux's `mount` and `unshare`, which raise OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        raise OSError("only Linux has namespaces")
    text = ctypes.c_char_p
    libc.mount.argtypes = (text, text, text, ctypes.c_ulong, text)

    def check(status: int) -> None:
        if status:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def mount(source: str, target: str, kind: str | None, flags: int) -> None:
        name = kind.encode() if kind else None
        check(libc.mount(source.encode(), target.encode(), name, flags, None))

    return mount, lambda flags: check(libc.unshare(flags))


if __name__ == "__main__":
    try:
        show(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as refusal:
        sys.stderr.write(f"{refusal}\n")
        sys.exit(REFUSED)
    os.chdir(os.environ.pop(WORKING_DIRECTORY, "/"))
    try:
        os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{sys.argv[3]}: {error.strerror}\n")
        sys.exit(NOT_FOUND)
