"""Python environments of what AWS's runtimes hold: links to what is installed here, and more.

A runtime of Lambda or an image of SageMaker holds certain packages and no others. The ones that are
installed on this machine are linked; what is missing, and a `requirements.txt`, pip installs once
into a directory of its own, where it is found again. Nothing is installed into this machine's own
environment.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import threading
import uuid
import venv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from localaws.persistence.files import remove

_ERROR_LINES = 3


class InstallationError(Exception):
    """Packages cannot be installed; the text has what pip says."""


def link_distributions(directory: Path, names: Iterable[str]) -> list[str]:
    """Make a directory that holds packages, and what they require, as links.

    Returns:
        Those of the names that are not installed here.
    """
    directory.mkdir(parents=True, exist_ok=True)
    linked: set[str] = set()
    pending = list(names)
    missing = [name for name in pending if not _version(name)]
    while pending:
        name = pending.pop()
        if name.lower() in linked or not _version(name):
            continue  # not installed: a requirement of other machines, or missing
        linked.add(name.lower())
        package = distribution(name)
        for entry in {Path(file).parts[0] for file in package.files or ()}:
            if entry not in {"..", "__pycache__"}:
                _link(directory / entry, Path(str(package.locate_file(entry))).resolve())
        pending += [
            re.split(r"[^\w.-]", requirement)[0]
            for requirement in package.requires or ()
            if "extra ==" not in requirement
        ]
    return missing


def _link(path: Path, target: Path) -> None:
    """Make a path a link to a target, in place of what a moved or copied directory holds there.

    Others may do the same at the same time.
    """
    if path.is_symlink() and path.readlink() == target:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    unfinished.symlink_to(target)
    unfinished.replace(path)


def make_environment(directory: Path, path: Sequence[Path]) -> Path:
    """Make an empty virtual environment that sees the packages of other directories.

    What a program installs there is its own.

    Args:
        directory: Of the environment.
        path: The directories, the first one before the others.

    Returns:
        Its Python.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(directory)
    lines = "".join(f"{entry}\n" for entry in path)
    (_site_packages(directory) / "packages.pth").write_text(lines, encoding="utf-8")
    return directory / "bin" / "python"


def installed_requirements(file: Path) -> tuple[list[str], bool]:
    """Return the packages of a requirements file that are installed here, as it wants them.

    And whether they are all that the file has: neither others nor options of pip.
    """
    names, is_all = [], True
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            is_all = False
            continue
        if requirement.marker and not requirement.marker.evaluate():
            continue
        here = _version(requirement.name)
        is_here = here and requirement.specifier.contains(here, prereleases=True)
        if is_here and not requirement.extras and not requirement.url:
            names.append(requirement.name)
        else:
            is_all = False
    return names, is_all


OnPip = Callable[["subprocess.Popen[bytes] | None"], None]
"""Is told of pip's process, and that it has ended."""


class Environments:
    """Directories of packages, each made once for its content.

    Args:
        directory: Holds them all.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
        for links in self._directory.glob("links-*"):
            remove(links)  # to packages of another day

    def path(
        self,
        packages: Sequence[str],
        requirements: Path | None = None,
        *,
        versions: Mapping[str, str],
        log: Path,
        on_pip: OnPip,
    ) -> list[Path]:
        """Return the directories that hold packages and a requirements file's, in their order.

        Args:
            packages: Names of what an image holds; those that are not installed here are
                installed by pip at their first use.
            requirements: A `requirements.txt`; its paths are relative to its own directory. Where
                what is installed here satisfies it, pip is not asked.
            versions: Of packages, where pip installs them; the newest ones of all others.
            log: A file to which pip's output is appended.
            on_pip: Called with pip's process, which leads a group, and with None at its end.

        Raises:
            InstallationError: If pip fails, e.g. without a network, or is ended.
        """
        satisfied, is_all = installed_requirements(requirements) if requirements else ([], True)
        base, missing = self._linked([*packages, *satisfied])
        path = [base]
        if missing:
            words = [f"{name}=={versions[name]}" if name in versions else name for name in missing]
            path = [self._installed(path, words, Path(), log, on_pip), *path]
        if requirements and not is_all:
            words = ["--requirement", str(requirements)]
            path = [self._installed(path, words, requirements, log, on_pip), *path]
        return path

    def _linked(self, packages: Sequence[str]) -> tuple[Path, list[str]]:
        versions = [f"{name}=={_version(name)}" for name in packages]
        directory = self._directory / f"links-{_digest(*versions)}"
        with self._locks[directory]:
            return directory, link_distributions(directory, packages)

    def _installed(
        self,
        path: Sequence[Path],
        words: Sequence[str],
        requirements: Path,
        log: Path,
        on_pip: OnPip,
    ) -> Path:
        """Return the directory of what pip installs for these words, beside what is there."""
        content = [*map(str, sys.version_info), *(entry.name for entry in path)]
        content += _content(requirements) if requirements.name else words
        directory = self._directory / _digest(*content)
        with self._locks[directory]:  # while one is installed, others are used and installed
            if not directory.exists():
                self._install(directory, path, words, requirements.parent, log, on_pip)
        return directory

    def _install(
        self,
        directory: Path,
        path: Sequence[Path],
        words: Sequence[str],
        where: Path,
        log: Path,
        on_pip: OnPip,
    ) -> None:
        unfinished = self._directory / f"unfinished-{uuid.uuid4().hex[:12]}"
        try:
            python = make_environment(unfinished, path)
            options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
            command = [sys.executable, "-m", "pip", "--python", str(python), "install", *options]
            pip = subprocess.Popen(
                [*command, *words],
                cwd=where,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            on_pip(pip)
            output = pip.communicate()[0].decode(errors="replace")
            on_pip(None)
            with log.open("a", encoding="utf-8") as file:
                file.write(output)
            if pip.returncode:
                raise InstallationError(_errors_of(output))
            try:
                _site_packages(unfinished).rename(directory)
            except OSError:
                if not directory.is_dir():  # another process has not made it meanwhile
                    raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _site_packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python*")) / "site-packages"


def is_installed(name: str) -> bool:
    """Return whether a package is installed here."""
    return bool(_version(name))


def _version(name: str) -> str:
    """Return the version of a package that is installed here; empty if none is."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _content(requirements: Path) -> list[str]:
    """Return what a requirements file installs: its text, and the files beside it that it names."""
    text = requirements.read_text(encoding="utf-8", errors="replace")
    files = sorted(file for file in requirements.parent.rglob("*") if file.is_file())
    named = [file for file in files if file.name in text and file != requirements]
    return [text, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in named)]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _errors_of(output: str) -> str:
    """Return pip's last errors in one line."""
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    shown = errors[-_ERROR_LINES:] or output.splitlines()[-1:]
    return "; ".join(line.removeprefix("ERROR: ").strip() for line in shown) or "pip failed"
