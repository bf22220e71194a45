"""The program of a Glue job's run: its script and libraries, fetched into the run's directory."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

_IN_URL = re.compile(r"(\w+://[^\s:/@]+:)[^\s@]+(?=@)")
_IN_PARAMETER = re.compile(r"(?i)(\bpassword=)[^&;,\s]+")
_ARCHIVES = {".zip", ".whl"}
_INSTALLED = {"site-packages", "dist-packages"}


class ProgramError(ValueError):
    """A job that cannot be started; the text says which file is at fault."""


def fetch_program(
    job: Mapping[str, Any], arguments: Mapping[str, str], *, directory: Path, s3: Any | None
) -> tuple[list[str], str]:
    """Fetch a job's script and `--extra-py-files`.

    Args:
        job: The definition, as CreateJob takes it.
        arguments: The run's, in their order, as `--key` → value.
        directory: The run's own, which exists.
        s3: The client that reads `s3://` locations.

    Returns:
        The command: this Python with the script and the arguments as `--key value`; and its
        PYTHONPATH. The files that the definition names come first in it; neither the script's
        directory nor the process's is in it.

    Raises:
        ProgramError: If a file does not exist, or Glue could not import it.
    """
    location = job["Command"].get("ScriptLocation", "")
    script = _fetch(job["Name"], "ScriptLocation", location, directory, s3)
    path: list[str] = []
    for library in arguments.get("--extra-py-files", "").split(","):
        if not (library := library.strip()):
            continue
        file = _fetch(job["Name"], "--extra-py-files", library, directory / "python", s3)
        if file.suffix not in _ARCHIVES | {".py"}:
            raise ProgramError(
                f"job {job['Name']!r}: its --extra-py-files {library!r} is no .py, .zip or .whl"
            )
        path.append(str(file if file.suffix in _ARCHIVES else file.parent))
    path += [entry for entry in sys.path if Path(entry).name in _INSTALLED]
    # -P: the script's directory does not come before everything else. -S: what is installed can
    # be imported, but no .pth file is read, which would bring in the checkout of an editable
    # installation.
    command = [sys.executable, "-P", "-S", str(script)]
    command += [word for argument in arguments.items() for word in argument]
    return command, os.pathsep.join(dict.fromkeys(path))


def mask_passwords(text: str) -> str:
    """Return a log's text with the passwords of URLs and JDBC parameters masked."""
    return _IN_PARAMETER.sub(r"\1***", _IN_URL.sub(r"\1***", text))


def _fetch(job: str, setting: str, location: str, directory: Path, s3: Any | None) -> Path:
    """Return a file of this machine, or download one of a bucket."""
    if not location.startswith("s3://") or s3 is None:
        file = Path(location.removeprefix("file://"))
        if not file.is_file():
            raise ProgramError(f"job {job!r}: its {setting} {location!r} is no local file")
        return file.absolute()
    url = urlsplit(location)
    file = directory / PurePosixPath(url.path).name
    directory.mkdir(exist_ok=True)
    try:
        file.write_bytes(s3.get_object(Bucket=url.netloc, Key=url.path[1:])["Body"].read())
    except ClientError as error:
        raise ProgramError(f"job {job!r}: its {setting} {location!r}: {error}") from error
    return file
