"""The requirements of a team's functions, fetched by pip: packages of pure Python, as files.

An archive has to be the same whenever and wherever it is built, and to run on Lambda's processor.
So what the requirements require has to be named too, a wheel that holds compiled code is refused,
and what pip writes about this machine is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON = "3.13"
"""The version of Lambda's runtime."""

_PIP = (sys.executable, "-I", "-m", "pip")
_QUIETLY = ("--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:")
_PURE = ("--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", PYTHON)
_NOT_FOUND = re.compile(r"No matching distribution found for (?P<requirement>.+)")
# What pip writes for itself, with paths and times of this machine.
_OF_PIP = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


class RequirementsError(Exception):
    """Requirements that pip cannot provide.

    Attributes:
        requirement: Which; empty if that is not known.
        rule: Why.
        fix: What to do.
    """

    def __init__(self, requirement: str, rule: str, fix: str) -> None:
        self.requirement, self.rule, self.fix = requirement, rule, fix
        super().__init__(f"{requirement}: {rule}; {fix}")


@cache
def vendored_files(requirements: tuple[str, ...]) -> Mapping[str, bytes]:
    """Return the files of requirements by their paths.

    Args:
        requirements: As pip takes them, each of an exact version.

    Raises:
        RequirementsError: If pip finds no wheel of pure Python for one of them, or they require one
            that is not among them.
    """
    with tempfile.TemporaryDirectory(prefix="requirements-") as directory:
        target = Path(directory)
        result = _pip("install", *_PURE, "--no-compile", "--target", directory, *requirements)
        if result.returncode:
            raise _failure(result.stderr)
        _check_complete(target, requirements)
        return {
            file.relative_to(target).as_posix(): file.read_bytes()
            for file in sorted(target.rglob("*"))
            if file.is_file() and not _is_of_this_machine(file.relative_to(target))
        }


def _pip(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_PIP, command, *_QUIETLY, *arguments], capture_output=True, text=True, check=False
    )


def _check_complete(target: Path, requirements: tuple[str, ...]) -> None:
    """Refuse what pip put there besides, in the version that is the newest today.

    Raises:
        RequirementsError: If it did.
    """
    named = {canonicalize_name(Requirement(each).name) for each in requirements}
    installed = sorted(info.name.removesuffix(".dist-info") for info in target.glob("*.dist-info"))
    versions = (name.rpartition("-") for name in installed)
    missing = [
        f"{canonicalize_name(name)}=={version}"
        for name, _, version in versions
        if canonicalize_name(name) not in named
    ]
    if missing:
        lines = ", ".join(f'"{each}"' for each in missing)
        rule = "they require others, of which pip would take another version later"
        raise RequirementsError("", rule, f"name these too: {lines}")


def _is_of_this_machine(path: Path) -> bool:
    in_metadata = path.parent.name.endswith(".dist-info") and path.name in _OF_PIP
    return in_metadata or path.parts[0] == "bin" or "__pycache__" in path.parts


def _failure(errors: str) -> RequirementsError:
    """Return the error for what pip wrote."""
    said = [line.removeprefix("ERROR: ").strip() for line in errors.splitlines() if "ERROR" in line]
    match = _NOT_FOUND.search(errors)
    if match is None:
        text = said[-1] if said else (errors.strip().splitlines() or ["it said nothing"])[-1]
        fix = "run 'python -m ensurepip'" if "No module named pip" in errors else "mend that"
        return RequirementsError("", f"pip could not install them: {text}", fix)
    requirement = match["requirement"].split(" (from")[0].strip()
    here = _pip("install", "--dry-run", "--no-deps", "--ignore-installed", requirement)
    if not here.returncode:
        return RequirementsError(
            requirement,
            "it is not of pure Python: its wheels are each for one type of machine",
            "take another package, or do that work in the Spark job or a SageMaker step",
        )
    return RequirementsError(
        requirement,
        f"pip finds no wheel of it: {said[0] if said else errors.strip()}",
        "correct name and version; a package without a wheel cannot be used",
    )
