"""The source of a team's own model: its scripts, read, checked, and packed as SageMaker takes them.

    model_sources(config)   the source of each model; a `ConfigError` lists every mistake

Nothing of a source is executed: it is parsed. The archive is named by its content and is the same
bytes on every machine, so that the definition, which names it, is too.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from etl.datasets import Column
from workflow.config import Config
from workflow.definition.definition_file import syntax_fault
from workflow.mistakes import ConfigError, Mistake
from workflow.options.models import ModelSettings

ENTRY = "retraining_entry.py"
REQUIREMENTS = "requirements.txt"
BUILTIN_REQUIREMENTS = ("implicit==0.7.3",)
"""Of the packaged models; that brings NumPy and SciPy."""

_BUILTIN_TRAINING, _BUILTIN_INFERENCE = "train.py", "inference.py"
_LARGEST = 100_000_000  # bytes of a source: data belong into a channel
_BLOCK = 65_535  # bytes of a stored block of deflate


@dataclass(frozen=True)
class ModelSource:
    """The source of a model.

    Attributes:
        model: The model's name.
        files: Path in the archive → content.
        script: The training script's path there.
        serving: The path of the script that makes the lists.
    """

    model: str
    files: Mapping[str, bytes]
    script: str
    serving: str

    def tar(self) -> bytes:
        """Return the files as an archive, uncompressed, in one order, with fixed dates."""
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in sorted(self.files.items()):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
        return body.getvalue()

    def archive(self) -> bytes:
        """Return the `sourcedir.tar.gz`."""
        return stored_gzip(self.tar())

    @property
    def key(self) -> str:
        """S3 key of the archive, which ends with a digest of the files."""
        digest = hashlib.sha256(self.tar()).hexdigest()[:12]
        return f"artifacts/model-{self.model}-{digest}.tar.gz"


def stored_gzip(content: bytes) -> bytes:
    """Return content in gzip's format, stored: what compresses it differs between machines."""
    blocks = [content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)] or [b""]
    body = b"".join(
        struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks, start=1)
    )
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def model_sources(config: Config) -> dict[str, ModelSource]:
    """Return the source of each model that has one, by the model's name.

    A model of an image that trains by itself has none.

    Raises:
        ConfigError: If a source cannot be used; it lists every mistake of all of them.
    """
    sources, mistakes = dict[str, ModelSource](), list[Mistake]()
    for name, model in config.sagemaker_models.items():
        if model.builtin:
            sources[name] = _packaged(config, name)
        elif model.entry_point:
            files = _files(config, model)
            found = [*_mistakes(config, name, model, files)]
            mistakes += found
            if not found:
                sources[name] = _own(name, model, files)
    if mistakes:
        raise ConfigError(config.source_name, mistakes)
    return sources


def model_source(config: Config, name: str) -> ModelSource | None:
    """Return the source of one model; None if it has none.

    Raises:
        ConfigError: If a source of any model cannot be used.
    """
    return model_sources(config).get(name)


def _own(name: str, model: ModelSettings, files: Mapping[str, bytes]) -> ModelSource:
    within = f"{model.directory}/" if model.directory else ""
    return ModelSource(
        name,
        {**files, **_added(model.requirements)},
        script=model.entry_point.removeprefix(within),
        serving=model.serving.removeprefix(within),
    )


def _packaged(config: Config, name: str) -> ModelSource:
    """Return the source of a packaged model: its scripts, and the recommenders that they use."""
    spec = find_spec("recommenders")  # finds it without importing it
    assert spec is not None and spec.submodule_search_locations  # noqa: S101  it is of this package
    package = Path(next(iter(spec.submodule_search_locations)))
    files = {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for path in package.rglob("*.py")
        if path.parent.name != "script_mode"
    }
    for script in (_BUILTIN_TRAINING, _BUILTIN_INFERENCE):
        files[script] = (package / "script_mode" / script).read_bytes()
    files["columns.json"] = json.dumps(_trained_columns(config), indent=1).encode()
    return ModelSource(
        name, {**files, **_added(BUILTIN_REQUIREMENTS)}, _BUILTIN_TRAINING, _BUILTIN_INFERENCE
    )


def _trained_columns(config: Config) -> dict[str, dict[str, list[str]]]:
    """Return what Personalize would train on: dataset type → kind of values → columns.

    Of a string that is neither categorical nor textual it learns nothing.
    https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
    """
    return {
        data_set.type: {
            "categories": [each.name for each in data_set.columns if each.categorical],
            "numbers": [each.name for each in data_set.columns if _is_number(each)],
            "texts": [each.name for each in data_set.columns if each.textual or each.item_name],
        }
        for data_set in config.data_sets
        if data_set.type != "INTERACTIONS"
    }


def _is_number(column: Column) -> bool:
    is_text = column.type in {"string", "boolean"} or column.textual or column.item_name
    return not (is_text or column.is_id or column.is_timestamp or column.categorical)


def _added(requirements: tuple[str, ...] | list[str]) -> dict[str, bytes]:
    entry = {ENTRY: Path(__file__).with_name("entry.py").read_bytes()}
    if not requirements:
        return entry
    return {**entry, REQUIREMENTS: "".join(f"{each}\n" for each in requirements).encode()}


def _files(config: Config, model: ModelSettings) -> dict[str, bytes]:
    """Return what is packed: the scripts, or all files of the source, but for hidden ones."""
    root = config.model_file(model.directory)
    if not model.source:
        paths = {config.model_file(each) for each in (model.entry_point, model.serving)}
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths
                if path.is_file()}  # fmt: skip
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not _is_left_out(path.relative_to(root))
    }


def _is_left_out(path: Path) -> bool:
    return path.suffix == ".pyc" or any(
        part.startswith(".") or part == "__pycache__" for part in path.parts
    )


def _mistakes(
    config: Config, name: str, model: ModelSettings, files: Mapping[str, bytes]
) -> Iterator[Mistake]:
    def mistake(key: str, value: str, rule: str, fix: str) -> Mistake:
        return Mistake(f"models.{name}.{key}", f'"{value}"', rule, fix)

    if model.source and not config.model_file(model.source).is_dir():
        rule = f"there is no directory {config.model_file(model.source)}"
        yield mistake("source", model.source, rule, "name the directory of the scripts")
        return
    scripts = {"entry_point": model.entry_point, "inference": model.serving}
    if not model.inference:
        del scripts["inference"]
    for key, script in scripts.items():
        path = config.model_file(script)
        if not path.is_file():
            rule, fix = f"there is no file {path}", "name the script beside or below this file"
            yield mistake(key, script, rule, fix)
        elif fault := _fault(path):
            yield mistake(key, script, fault, "mend it")
    if model.framework == "sklearn" and not _loads_a_model(config.model_file(model.serving)):
        rule = "it has no model_fn(model_dir), by which the image of sklearn loads the model"
        key = "inference" if model.inference else "entry_point"
        yield mistake(key, model.serving, rule, "add it, or name the script that has it")
    for name_of_file in sorted(files):
        file = config.model_file(model.directory) / name_of_file
        if not file.resolve().is_relative_to(config.model_file("").resolve()):
            fault = f"{file} is a link to {file.resolve()}, outside the project"
            key = "source" if model.source else "entry_point"
            yield mistake(key, getattr(model, key), fault, "copy the file into the project")
    if model.requirements and REQUIREMENTS in files:
        rule = f"the source has a {REQUIREMENTS} too"
        yield mistake("requirements", model.requirements[0], rule, "leave out one of them")
    if ENTRY in files:
        rule = f"a file of the source is called {ENTRY}, as that which is added to it"
        yield mistake("source", model.source, rule, "rename it")
    if (size := sum(map(len, files.values()))) > _LARGEST:
        rule = f"its files have {size:,} bytes; a source may have {_LARGEST:,}"
        yield mistake("source", model.source, rule, "keep data elsewhere, or name a directory less")


def _fault(path: Path) -> str:
    """Return why a script cannot be parsed; empty if it can."""
    try:
        ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        return syntax_fault(path, error)
    return ""


def _loads_a_model(path: Path) -> bool:
    """Return whether a script defines or imports `model_fn`; one that cannot be read counts too."""
    if not path.is_file() or _fault(path):
        return True
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return not names.isdisjoint({"model_fn", "*"})
