"""What a Glue job's run executes: its script and libraries, fetched into the run's directory."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

_IN_URL = re.compile(r"(\w+://[^\s:/@]+:)[^\s@]+(?=@)")
_IN_PARAMETER = re.compile(r"(?i)(\bpassword=)[^&;,\s]+")
_PACKED = {".zip", ".whl"}


class ProgramError(ValueError):
    """A job that cannot be started; the text says which file is at fault."""


@dataclass(frozen=True)
class Program:
    """A process to start: its arguments, and what its environment has besides."""

    argv: list[str]
    environment: Mapping[str, str]


def fetch_program(
    job: Mapping[str, Any], arguments: Mapping[str, str], *, directory: Path, s3: Any | None
) -> Program:
    """Fetch a job's script and `--extra-py-files`.

    Args:
        job: The definition, as CreateJob takes it.
        arguments: The run's, in their order, as `--key` → value.
        directory: The run's own, which is there.
        s3: The client that reads `s3://` locations.

    Returns:
        This Python with the script and the arguments as `--key value`. What the definition names
        comes first in what can be imported; neither the script's directory nor the process's does.

    Raises:
        ProgramError: If a file is not there, or Glue could not import it.
    """
    location = job["Command"].get("ScriptLocation", "")
    script = _fetched(job["Name"], "ScriptLocation", location, directory, s3)
    named = [name.strip() for name in arguments.get("--extra-py-files", "").split(",")]
    path: list[str] = []
    for library in filter(None, named):
        fetched = _fetched(job["Name"], "--extra-py-files", library, directory / "python", s3)
        if fetched.suffix not in _PACKED | {".py"}:
            raise ProgramError(
                f"job {job['Name']!r}: its --extra-py-files {library!r} is no .py, .zip or .whl"
            )
        entry = str(fetched if fetched.suffix in _PACKED else fetched.parent)
        path += [] if entry in path else [entry]
    words = [word for pair in arguments.items() for word in pair]
    # -P: the script's directory does not come before everything else. -S: what is installed can
    # be imported, but no .pth file is read, which would bring in the checkout of an editable
    # installation.
    argv = [sys.executable, "-P", "-S", str(script), *words]
    return Program(argv, {"PYTHONPATH": os.pathsep.join([*path, *_installed()])})


def _installed() -> list[str]:
    """Where this Python's packages lie."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))


def without_passwords(text: str) -> str:
    """A log's text with the passwords of URLs and JDBC parameters masked."""
    return _IN_PARAMETER.sub(r"\1***", _IN_URL.sub(r"\1***", text))


def _fetched(job: str, setting: str, location: str, directory: Path, s3: Any | None) -> Path:
    """A file of this machine, or one of a bucket, downloaded."""
    if not location.startswith("s3://") or s3 is None:
        local = Path(location.removeprefix("file://"))
        if not local.is_file():
            raise ProgramError(f"job {job!r}: its {setting} {location!r} is no local file")
        return local.absolute()
    url = urlsplit(location)
    target = directory / PurePosixPath(url.path).name
    directory.mkdir(exist_ok=True)
    try:
        target.write_bytes(s3.get_object(Bucket=url.netloc, Key=url.path[1:])["Body"].read())
    except ClientError as error:
        raise ProgramError(f"job {job!r}: its {setting} {location!r}: {error}") from error
    return target
