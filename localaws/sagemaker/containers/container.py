"""The containers of jobs: a private `/opt/ml`, the packages of an image, and processes in it.

A script sees its container's directory at `/opt/ml`, by a mount of its own, where the machine
allows that (`private_mount`). Elsewhere the path is translated: in variables, arguments, and in the
copies of the script's files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from localaws.python_environments import (
    Environments,
    InstallationError,
    OnPip,
    is_installed,
    make_environment,
)
from localaws.sagemaker.containers import private_mount
from localaws.sagemaker.containers.images import Image
from localaws.sagemaker.errors import JobFailedError

ML = "/opt/ml"

# Those of this process that pip, and whoever goes through a proxy, needs.
_PASSED_ON = ("PIP_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "http_", "https_")
_SCRIPTS = {".py", ".sh"}
_END_OF_LOG = 1 << 20  # bytes, more than any traceback


class Container:
    """One job's container.

    Args:
        directory: Private to the job; it is made.
        image: What its processes can import.
        environments: Make what is not installed here.
        variables: With which every process finds and signs for AWS.
        mounts: Whether its processes see `/opt/ml` by a mount, and not by translation.
        on_pip: As `Environments.path` takes it.

    Attributes:
        ml: The directory that is `/opt/ml`.
        log: The file to which its processes write.
    """

    def __init__(
        self,
        directory: Path,
        image: Image,
        *,
        environments: Environments,
        variables: Mapping[str, str],
        mounts: bool,
        on_pip: OnPip,
    ) -> None:
        self.ml = directory / "ml"
        self.log = directory / "log"
        self._directory = directory
        self._image = image
        self._environments = environments
        self._variables = variables
        self._mounts = mounts
        self._on_pip = on_pip
        for name in ("home", "tmp"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self.ml.mkdir()

    def host(self, path: str) -> Path:
        """Return where a path below `/opt/ml` is on this machine."""
        return self.ml / PurePosixPath(path).relative_to(ML)

    def seen(self, text: str) -> str:
        """Return a text with `/opt/ml` as the container's processes see it."""
        return text if self._mounts else text.replace(ML, str(self.ml))

    def start(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        directory: str,
        requirements: Path | None = None,
        **streams: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a process that leads a group of its own.

        Args:
            command: Its words; `python` and `python3` are the image's.
            variables: Its own.
            directory: Where it starts, below `/opt/ml`.
            requirements: A `requirements.txt` that is installed before.
            streams: `stdin` and `stdout`, if they are not nothing and the log.

        Raises:
            JobFailedError: If packages cannot be installed, or there is no such command.
        """
        python = self._python(requirements)
        environment = {
            **{name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "UTF-8",
            **self._variables,
            **{name: self.seen(value) for name, value in variables.items()},
            "HOME": str(self._directory / "home"),
            "TMPDIR": str(self._directory / "tmp"),
            "PATH": f"{python.parent}{os.pathsep}{os.defpath}",
        }
        words = [self.seen(word) for word in command]
        if words[0] in {"python", "python3"}:
            words[0] = str(python)
        where = self.seen(directory)
        if self._mounts:
            words = [*_mounted(self.ml), *words]
            environment[private_mount.WORKING_DIRECTORY], where = where, str(self._directory)
        else:
            self._translate()
        with self.log.open("ab") as log:
            try:
                return subprocess.Popen(
                    words,
                    cwd=where,
                    env=environment,
                    start_new_session=True,
                    **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **streams},
                )
            except OSError as error:
                raise JobFailedError(
                    f"AlgorithmError: {words[0]}: {error.strerror}, exit code:"
                    f" {private_mount.NOT_FOUND}"
                ) from error

    def lines_of_log(self) -> Iterator[str]:
        """Yield the lines that the container's processes have written so far."""
        if self.log.exists():
            with self.log.open(encoding="utf-8", errors="replace") as log:
                yield from log

    def end_of_log(self) -> str:
        """Return the last part of what the container's processes have written so far."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _END_OF_LOG))
            return log.read().decode(errors="replace")

    def note(self, line: str) -> None:
        """Write a line to the log."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    def note_instances(self, count: int) -> None:
        """Write to the log that a job of several instances has one."""
        if count > 1:
            self.note(f"one of {count} instances: the local SageMaker has one machine")

    def _python(self, requirements: Path | None) -> Path:
        packages = [name for name in self._image.packages if is_installed(name) or self._uses(name)]
        try:
            versions = self._image.versions
            path = self._environments.path(
                packages, requirements, versions=versions, log=self.log, on_pip=self._on_pip
            )
        except InstallationError as error:
            named = "requirements.txt" if requirements else ", ".join(self._image.packages)
            raise JobFailedError(
                f"AlgorithmError: InstallRequirementsError: {error} (while installing {named} for"
                f" the image {self._image.family}), exit code: 1"
            ) from error
        python = make_environment(self._directory / "python", path)
        for name in ("pip", "pip3"):
            script = python.with_name(name)
            script.write_text(f'#!/bin/sh\nexec "{python}" -m pip "$@"\n', encoding="utf-8")
            script.chmod(0o755)
        return python

    def _uses(self, package: str) -> bool:
        """Return whether a script imports a package; one that none imports need not be installed.

        PyTorch is larger than all others together.
        """
        pattern = re.compile(rf"^\s*(import|from)\s+{package.replace('-', '_')}\b", re.MULTILINE)
        scripts = (path for path in self.ml.rglob("*.py") if path.is_file())
        return any(pattern.search(path.read_text("utf-8", "replace")) for path in scripts)

    def _translate(self) -> None:
        """Write the container's own path in place of `/opt/ml` into scripts and configurations."""
        for file in self.ml.rglob("*"):
            is_translated = file.suffix in _SCRIPTS or file.parent.name == "config"
            if is_translated and file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                if ML.encode() in content:
                    file.write_bytes(content.replace(ML.encode(), str(self.ml).encode()))


def remove_container(directory: Path) -> None:
    """Remove what a job's container had, except its log."""
    for name in ("ml", "python", "home", "tmp"):
        shutil.rmtree(directory / name, ignore_errors=True)
    with suppress(OSError):
        private_mount.aside_of(directory / "ml").rmdir()  # empty: its mounts are the process's


@cache
def can_mount() -> bool:
    """Return whether this machine lets a process have `/opt/ml` for itself."""
    with tempfile.TemporaryDirectory() as directory:
        ml = Path(directory, "ml")
        ml.mkdir()
        return subprocess.run([*_mounted(ml), "true"], capture_output=True).returncode == 0  # noqa: PLW1510


def _mounted(ml: Path) -> list[str]:
    """Return the beginning of a command that sees a directory at `/opt/ml`."""
    return [sys.executable, "-I", "-S", private_mount.__file__, str(ml), ML]
