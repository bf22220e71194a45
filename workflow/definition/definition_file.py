"""A team's own Python file that composes the workflow: read it, call its `build(config)`.

The file stands beside the configuration that names it, and may import modules beside itself.
Whatever goes wrong in it is a `DefinitionFileError` with the file, the line and the reason.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from workflow.definition.stage import described
from workflow.errors import StructureError, WorkflowError
from workflow.sdk import Graph, quiet_sagemaker

if TYPE_CHECKING:
    from workflow.config import Config

_running = ContextVar[frozenset[Path]]("_running", default=frozenset())
# Folders of installed packages: an environment often lies in the project's folder.
_INSTALLED = frozenset({"site-packages", "dist-packages"})
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
    with _not_by_itself(path), _failures_of(path), _importable(path.parent), quiet_sagemaker():
        module = _load(path)
        build = getattr(module, "build", None)
        if not callable(build):
            raise DefinitionFileError(f"{path}: has no function build(config); add `{_EXAMPLE}`")
        graph = build(config)
    if inspect.iscoroutine(graph):
        graph.close()
        raise DefinitionFileError(f"{path}: build(config) is async; write it without `async`")
    if not isinstance(graph, Graph):
        raise DefinitionFileError(
            f"{path}: build(config) returned {described(graph)}, which is no graph; end it with"
            " `return stages.compose(…)`"
        )
    return graph


def syntax_fault(path: Path, error: SyntaxError | ValueError) -> str:
    """Return where and why a Python file cannot be parsed; a file in UTF-16 fails at no line."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{path}, line {error.lineno}: {error.msg}"
    return f"{path}: {error}; save it as a text in UTF-8"


@contextmanager
def _not_by_itself(path: Path) -> Iterator[None]:
    """Refuse to read a file while its own `build` runs, which would never end.

    Raises:
        RecursionError: If it runs; whoever runs it says in which line.
    """
    if path.resolve() in (running := _running.get()):
        raise RecursionError(
            f"build(config) calls what calls build(config), as build_workflow(config) does; write"
            f" `{_EXAMPLE}`"
        )
    token = _running.set(running | {path.resolve()})
    try:
        yield
    finally:
        _running.reset(token)


def _load(path: Path) -> ModuleType:
    try:
        ast.parse(path.read_bytes(), filename=str(path))
    except ValueError as error:  # until Python 3.11.3, of a file with null bytes
        raise SyntaxError(str(error)) from None
    spec = importlib.util.spec_from_file_location("retraining_definition", path)
    assert spec is not None and spec.loader is not None  # noqa: S101  it is a Python file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Let a file import what stands beside it, and forget it afterwards: it may be edited.

    No bytecode is written: Python takes it for current if a file of the same size was saved within
    the same second.
    """
    folder = directory.resolve()
    before = {name.partition(".")[0] for name in sys.modules}
    writes_no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.append(str(folder))  # behind all packages, so that no module takes another's place
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes_no_bytecode
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] not in before and _is_below(folder, module):
                del sys.modules[name]


def _is_below(folder: Path, module: ModuleType) -> bool:
    """Return whether a module is one of a folder's, and not of an environment in it."""
    return any(
        path.is_relative_to(folder) and not _INSTALLED & {*path.relative_to(folder).parts}
        for path in _paths(module)
    )


def _paths(module: ModuleType) -> list[Path]:
    """Return a module's file, or the folders of a package without `__init__.py`."""
    file = getattr(module, "__file__", None)
    return [Path(each).resolve() for each in ([file] if file else getattr(module, "__path__", []))]


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
        raise DefinitionFileError(syntax_fault(name, error)) from None
    except SystemExit as error:
        raise DefinitionFileError(
            f"{_location(path, error)}: it ends the program, with {described(error.code)}; take the"
            " exit out, or raise an error that says why there is no workflow"
        ) from None
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


def _location(path: Path, error: BaseException) -> str:
    """Return the file and the line at which an error passed through it last."""
    frames = traceback.extract_tb(error.__traceback__)
    file = path.resolve()
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file]
    return f"{path}, line {lines[-1]}" if lines else str(path)
