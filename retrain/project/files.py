"""The files of a team's project around its configuration; written all together or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from retrain.files import write_whole
from retrain.project.errors import ProjectError
from retrain.rendering import rendered_files
from workflow.config import parse_config

CONFIG = "retraining.toml"
_RENDERED = tuple(f"asl/retraining.{suffix}" for suffix in ("asl.json", "md", "svg"))
_TEST, _REVIEW = "tests/test_retraining.py", ".github/workflows/retraining.yml"
_REPOSITORY = (".gitignore", ".gitattributes")


def project_files(toml: str) -> dict[str, str]:
    """Return path → text of each file of a project, the paths relative to its directory.

    Args:
        toml: The configuration's text.

    Raises:
        ConfigError: If the configuration breaks a rule.
    """
    from workflow.definition.graph import retraining_graph  # noqa: PLC0415  the SDK costs time

    config = parse_config(toml, source=CONFIG)
    rendered = rendered_files(config, retraining_graph(config).to_dict())
    templates = files("retrain.project") / "templates"
    review = (templates / "review.txt").read_text(encoding="utf-8")
    return {
        CONFIG: toml,
        **{f"asl/{name}": text for name, text in rendered.items()},
        _TEST: (templates / "test_retraining.txt").read_text(encoding="utf-8"),
        _REVIEW: review.replace("@VERSION@", version("personalize-retraining")),
        **{
            name: (templates / f"{name.removeprefix('.')}.txt").read_text(encoding="utf-8")
            for name in _REPOSITORY
        },
        **notebook_files(),
    }


def notebook_files() -> dict[str, str]:
    """Return path → text of each notebook; without outputs, which are those of the example."""
    directory = files("retrain.project") / "notebooks"
    notebooks = sorted(directory.iterdir(), key=lambda file: file.name)
    return {
        f"notebooks/{file.name}": _without_outputs(file.read_text(encoding="utf-8"))
        for file in notebooks
        if file.name.endswith(".ipynb")
    }


def _without_outputs(notebook: str) -> str:
    document = json.loads(notebook)
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def refuse_to_overwrite(directory: Path) -> None:
    """Raise an error if one of a project's files exists already; notebooks and .gitignore may.

    Raises:
        ProjectError: If files exist, naming them.
    """
    names = (CONFIG, *_RENDERED, _TEST, _REVIEW)
    existing = [name for name in names if (directory / name).exists()]
    if existing:
        raise ProjectError(
            f"{directory}: has {', '.join(existing)} already; name another directory, or write"
            " --force to replace them"
        )


def write_project(directory: Path, texts: Mapping[str, str]) -> tuple[list[Path], list[Path]]:
    """Write a project's files; if one cannot be written, none is left that was not there.

    Notebooks that exist are kept, and what says what git does: they hold work of the team's.

    Args:
        directory: The project's directory; made if it does not exist.
        texts: Path relative to the directory → text.

    Returns:
        The paths of the files that were written, and of those that were kept.

    Raises:
        ProjectError: If a file cannot be written.
    """
    own = [name for name in texts if name in _REPOSITORY or name.startswith("notebooks/")]
    kept = [path for name in own if (path := directory / name).exists()]
    before: dict[Path, bytes | None] = {}
    paths = [directory / name for name in texts]
    new = {folder for path in paths for folder in path.parents if not folder.exists()}
    try:
        for name, text in texts.items():
            path = directory / name
            if path not in kept:
                before[path] = path.read_bytes() if path.exists() else None
                write_whole(path, text)
    except OSError as error:
        for path, content in before.items():
            if content is not None:
                write_whole(path, content)
            else:
                with suppress(OSError):  # not there, or what stands above it is no directory
                    path.unlink()
        for folder in sorted(new, reverse=True):
            with suppress(OSError):  # not made, or not empty
                folder.rmdir()
        raise ProjectError(
            f"{error.filename or directory}: {error.strerror}; nothing is written: name a"
            " directory that can be written to"
        ) from None
    return list(before), kept
