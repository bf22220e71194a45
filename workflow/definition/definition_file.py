"""A team's own Python file that composes the workflow: read it, call its `build(config)`.

The file stands beside the configuration that names it, and may import modules beside itself.
Whatever goes wrong in it is a `DefinitionFileError` with the file, the line and the reason.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from workflow.errors import StructureError, WorkflowError
from workflow.sdk import Graph, quiet_sagemaker

if TYPE_CHECKING:
    from workflow.config import Config

_EXAMPLE = "def build(config): return Stages(config).compose(…)"


class DefinitionFileError(WorkflowError, ValueError):
    """A definition file that cannot be used; says where, why and what to do."""


def graph_of_file(path: Path, config: Config) -> Graph:
    """Return the graph that a file's `build(config)` composes.

    Args:
        path: The Python file.
        config: What the function gets.

    Raises:
        DefinitionFileError: If there is no such file or function, it raises, or returns no graph.
        StructureError: If the parts that it composes do not make one workflow.
    """
    if not path.is_file():
        raise DefinitionFileError(
            f"{path}: there is no such file; write it, with `{_EXAMPLE}`, or take"
            " workflow.definition out of the configuration"
        )
    with _failures_of(path), _importable(path.parent), quiet_sagemaker():
        module = _load(path)
        build = getattr(module, "build", None)
        if not callable(build):
            raise DefinitionFileError(f"{path}: has no function build(config); add `{_EXAMPLE}`")
        graph = build(config)
    if not isinstance(graph, Graph):
        raise DefinitionFileError(
            f"{path}: build(config) returned {graph!r}, which is no graph; end it with"
            " `return stages.compose(…)`"
        )
    return graph


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("retraining_definition", path)
    assert spec is not None and spec.loader is not None  # noqa: S101  it is a Python file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Let a file import modules beside it, and forget them afterwards: they may be edited."""
    folder = str(directory.resolve())
    before = set(sys.modules)
    sys.path.append(folder)  # behind all packages, so that no module takes another's place
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == Path(folder):
                del sys.modules[name]


@contextmanager
def _failures_of(path: Path) -> Iterator[None]:
    try:
        yield
    except StructureError as error:
        raise StructureError(error.faults, location=_location(path, error)) from None
    except WorkflowError:
        raise
    except SyntaxError as error:
        file = Path(error.filename or path)
        name = path if file.resolve() == path.resolve() else file
        raise DefinitionFileError(f"{name}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise DefinitionFileError(f"{_location(path, error)}: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    """Return why a file failed, and what to do where that is known."""
    if (module := _module_of(error)) and _is_hidden(path.parent, module):
        return (
            f"{error}: the name '{module}' is that of an installed package, and the module beside"
            f" {path.name} is not taken; rename your module"
        )
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{error.msg}; run 'pip install …' for the package, or put the module beside"
            f" {path.name}"
        )
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _module_of(error: Exception) -> str:
    """Return the first name of the module that lacks what was asked for; empty if none."""
    name = error.name if isinstance(error, ImportError) else ""
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    return (name or "").partition(".")[0]


def _is_hidden(folder: Path, module: str) -> bool:
    """Return whether another module has the name of one in a folder."""
    beside = [folder / f"{module}.py", folder / module]
    taken = getattr(sys.modules.get(module), "__file__", None)
    return (
        taken is not None
        and any(path.exists() for path in beside)
        and not Path(taken).resolve().is_relative_to(folder.resolve())
    )


def _location(path: Path, error: Exception) -> str:
    """Return the file and the line at which an error passed through it last."""
    frames = traceback.extract_tb(error.__traceback__)
    file = path.resolve()
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file]
    return f"{path}, line {lines[-1]}" if lines else str(path)
