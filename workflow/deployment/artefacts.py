"""The artefacts to upload: functions, models, the Spark job and its specification.

The bytes depend on the source files and the configuration alone, so that the same commit gives the
same archives on every machine and a deployment with nothing new uploads nothing.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from workflow.config import Config
from workflow.definition.own_models.source import ModelSource, model_sources
from workflow.deployment.function_sources import archive_files

PREFIX = "artifacts/"
"""The prefix of all of their keys in the bucket."""
# What the Spark job runs of the functions; an import contract lets it have no more.
_SHARED = ("lambdas/__init__.py", "lambdas/errors.py", "lambdas/recommendations.py")
# The earliest date that a ZIP file can hold, and the mode -rw-r--r-- of a regular file.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3


@dataclass(frozen=True)
class Artefact:
    """An object to upload.

    Attributes:
        key: In the bucket, for example `artifacts/functions-1f2e3d4c5b6a.zip`.
        body: The content.
        sha256: Its digest, 64 hexadecimal digits.
    """

    key: str
    body: bytes
    sha256: str


@dataclass(frozen=True)
class Artefacts:
    """All artefacts.

    Attributes:
        functions: Archive of the package `lambdas`, which all functions of it share.
        etl_library: Archive of the package `etl`, and of what it shares with the functions, for
            `--extra-py-files`.
        etl_script: The Spark job's script.
        etl_spec: The Spark job's specification, at the key that the definition names.
        own_functions: Archive of each of a team's functions, by the function's name.
        models: Source of each of a team's models, by the model's name, at the key that the
            definition names.
    """

    functions: Artefact
    etl_library: Artefact
    etl_script: Artefact
    etl_spec: Artefact
    own_functions: Mapping[str, Artefact] = field(default_factory=dict)
    models: Mapping[str, Artefact] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Artefact]:
        yield from (self.functions, self.etl_library, self.etl_script, self.etl_spec)
        yield from self.own_functions.values()
        yield from self.models.values()

    def code_of(self, function: str) -> Artefact:
        """Return the archive that holds a function."""
        return self.own_functions.get(function, self.functions)

    @property
    def bodies(self) -> dict[str, bytes]:
        """The contents by their S3 keys."""
        return {artefact.key: artefact.body for artefact in self}

    def write(self, directory: Path) -> list[Path]:
        """Write each artefact to its key below `directory`; return the files."""
        files = []
        for artefact in self:
            file = directory / artefact.key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(artefact.body)
            files.append(file)
        return files


def build_artefacts(config: Config, *, own_functions: bool = True) -> Artefacts:
    """Return the artefacts of `config`; reads the installed packages and calls nothing of AWS.

    Args:
        config: The configuration.
        own_functions: Whether to read and archive the sources of a team's functions.

    Raises:
        ConfigError: If a source of a team's function or model cannot be used, or pip cannot provide
            what a function requires.
    """
    etl, functions = _package("etl"), _modules(_package("lambdas"))
    shared = {name: functions[name] for name in _SHARED}
    spec = config.job_spec().to_json().encode()
    return Artefacts(
        functions=_named_by_content("functions", ".zip", _archive(functions)),
        etl_library=_named_by_content("etl", ".zip", _archive(_modules(etl) | shared)),
        etl_script=_named_by_content("etl-job", ".py", (etl / "job.py").read_bytes()),
        etl_spec=Artefact(config.spec_key, spec, hashlib.sha256(spec).hexdigest()),
        own_functions={
            name: _named_by_content(f"function-{name}", ".zip", _archive(content))
            for name, content in (archive_files(config) if own_functions else {}).items()
        },
        models={name: _model(source) for name, source in model_sources(config).items()},
    )


def _model(source: ModelSource) -> Artefact:
    body = source.archive()
    return Artefact(source.key, body, hashlib.sha256(body).hexdigest())


def _named_by_content(stem: str, suffix: str, body: bytes) -> Artefact:
    digest = hashlib.sha256(body).hexdigest()
    return Artefact(f"{PREFIX}{stem}-{digest[:12]}{suffix}", body, digest)


def _package(name: str) -> Path:
    """Return a package's directory without importing it: it imports modules that only AWS has."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"package '{name}' is not installed; install personalize-retraining"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _modules(package: Path) -> dict[str, bytes]:
    """Return the modules of a package by their paths."""
    return {
        file.relative_to(package.parent).as_posix(): file.read_bytes()
        for file in package.rglob("*.py")
    }


def _archive(content: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file of files by their paths: uncompressed, with fixed dates and modes."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name, date_time=_DATE)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            archive.writestr(entry, data)
    return body.getvalue()
