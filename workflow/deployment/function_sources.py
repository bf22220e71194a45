"""The sources of a team's own functions: read, checked, and joined with what they import.

    read_sources(config)   the modules of each function; a `ConfigError` lists every mistake
    archive_files(…)       what a function's archive holds: its modules, and its requirements

Nothing of a source is executed: it is parsed. A module that it imports stands beside it, or in
Lambda's Python, or in a requirement; whatever else is imported would fail in the first invocation.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workflow.config import Config
from workflow.definition.definition_file import syntax_fault
from workflow.deployment.requirements import RequirementsError, vendored_files
from workflow.mistakes import ConfigError, Mistake
from workflow.spelling import suggestion

HANDLER = "handler"
# A class would be called, but what Lambda gets then cannot be written as JSON.
_NO_FUNCTIONS = (
    ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp, ast.Compare, ast.ClassDef,
)  # fmt: skip
UNZIPPED_LIMIT = 262_144_000
"""Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

# https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
_WITH_BOTO3 = frozenset(
    {"boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}
)
# Of the standard library until Python 3.11; https://docs.python.org/3.13/whatsnew/3.13.html
_NO_LONGER = frozenset(
    {"aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils",
     "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes",
     "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"}
)  # fmt: skip
_IN_LAMBDA = (frozenset(sys.stdlib_module_names) | _WITH_BOTO3) - _NO_LONGER


@dataclass(frozen=True)
class Import:
    """An import of a module that is not beside the source.

    Attributes:
        module: Its first name, for example `pandas`.
        line: Where it is imported, for example `functions/ask.py, line 3`.
    """

    module: str
    line: str


@dataclass
class FunctionSource:
    """The source of a function.

    Attributes:
        name: The function's.
        file: The Python file with the handler.
        files: Path in the archive → content: the file, and the modules beside it that it imports.
        others: Imports of what is neither beside it nor in Lambda's Python.
        mistakes: What is wrong with it.
    """

    name: str
    file: Path
    files: dict[str, bytes] = field(default_factory=dict)
    others: list[Import] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def mistake(self, rule: str, fix: str, *, key: str = "source", value: str = "") -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(f"functions.{self.name}.{key}", value, rule, fix))


def read_sources(config: Config) -> dict[str, FunctionSource]:
    """Return the source of each of a team's functions by the function's name.

    Raises:
        ConfigError: If a source cannot be used; it lists every mistake of all of them.
    """
    sources = {name: _read_source(config, name) for name in config.functions}
    for name, source in sources.items():
        if not config.functions[name].requirements:
            _check_imports(source, source.others)
    _raise_mistakes(config, sources)
    return sources


def archive_files(config: Config) -> dict[str, dict[str, bytes]]:
    """Return the content of each function's archive, by the function's name and the file's path.

    Raises:
        ConfigError: If a source cannot be used, or pip cannot provide a requirement.
    """
    sources = read_sources(config)
    for name, source in sources.items():
        requirements = config.functions[name].requirements
        if requirements:
            _add_requirements(source, requirements)
        size = sum(map(len, source.files.values()))
        if size > UNZIPPED_LIMIT:
            rule = f"the archive has {size:,} bytes; Lambda unpacks {UNZIPPED_LIMIT:,}"
            source.mistake(rule, "use fewer or smaller ones", key="requirements")
    _raise_mistakes(config, sources)
    return {name: source.files for name, source in sources.items()}


def _raise_mistakes(config: Config, sources: Mapping[str, FunctionSource]) -> None:
    mistakes = [mistake for source in sources.values() for mistake in source.mistakes]
    if mistakes:
        raise ConfigError(config.source_name, mistakes)


def _add_requirements(source: FunctionSource, requirements: Sequence[str]) -> None:
    try:
        vendored = vendored_files(tuple(requirements))
    except RequirementsError as error:
        value = error.requirement or ", ".join(requirements)
        source.mistake(error.rule, error.fix, key="requirements", value=value)
        return
    for path in sorted(source.files.keys() & vendored.keys()):
        rule = f"{path} is a file of a requirement, too"
        source.mistake(rule, "rename the module beside the source")
    modules = {path.partition("/")[0].removesuffix(".py") for path in vendored}
    _check_imports(source, [other for other in source.others if other.module not in modules])
    source.files |= vendored


def _check_imports(source: FunctionSource, missing: Sequence[Import]) -> None:
    for other in missing:
        if other.module in _NO_LONGER:
            rule = f"{other.line}: Python 3.13, which Lambda runs, has no module '{other.module}'"
            source.mistake(rule, "do without it")
        else:
            rule = f"{other.line}: imports '{other.module}', which Lambda's Python does not have"
            source.mistake(
                rule,
                f"add its package to functions.{source.name}.requirements, or put the module"
                f" beside {source.file.name}",
            )


def _read_source(config: Config, name: str) -> FunctionSource:
    source = FunctionSource(name, config.source_file(name))
    path, written = source.file, config.functions[name].source
    if fault := _path_fault(path):
        source.mistake(*fault, value=f'"{written}"')
        return source
    tree = _add_module(source, path, path.name)
    if tree is not None and (fault := _handler_fault(path, tree)):
        source.mistake(*fault)
    return source


def _path_fault(path: Path) -> tuple[str, str] | None:
    """Return why a path names no usable source, and the fix."""
    if path.is_dir():
        return "it is a folder", f"name the Python file in it that has {HANDLER}(event, context)"
    if not path.is_file():
        beside = sorted(file.name for file in path.parent.glob("*.py"))
        fix = f"write it, with `def {HANDLER}(event, context): …`"
        return f"there is no file {path}", suggestion(path.name, beside, otherwise=fix)
    if path.suffix != ".py" or not path.stem.isidentifier():
        return "its name is that of no Python module", "rename it: letters, digits and _, then .py"
    if path.stem in _IN_LAMBDA:
        rule = f"its name hides the module '{path.stem}' of Lambda's Python"
        return rule, "rename it"
    return None


def _add_module(source: FunctionSource, file: Path, path: str) -> ast.Module | None:
    """Add a module, and what it imports from beside the source; return its tree if it has one."""
    source.files[path] = content = file.read_bytes()
    try:
        tree = ast.parse(content, filename=str(file))
    except (SyntaxError, ValueError) as error:
        source.mistake(syntax_fault(file, error), "mend the syntax there")
        return None
    root = source.file.parent
    for node, is_certain in _imports(tree.body):
        line = f"{file}, line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.level and "/" not in path:
            source.mistake(f"{line}: Lambda has no package around the file", "import without dots")
            continue
        for module in _modules(node):
            if module not in _IN_LAMBDA and not _add_beside(source, root, module) and is_certain:
                source.others.append(Import(module, line))
    return tree


def _add_beside(source: FunctionSource, root: Path, module: str) -> bool:
    """Add a module or package that stands beside the source; return whether there is one."""
    file, package = root / f"{module}.py", root / module
    if package.is_dir() and any(package.rglob("*.py")):
        for inner in sorted(package.rglob("*")):
            path = inner.relative_to(root).as_posix()
            is_hidden = any(part.startswith((".", "__pycache__")) for part in path.split("/"))
            if inner.is_file() and not is_hidden and path not in source.files:
                if inner.suffix == ".py":
                    _add_module(source, inner, path)
                else:
                    source.files[path] = inner.read_bytes()
        return True
    if file.is_file():
        if file.name not in source.files:
            _add_module(source, file, file.name)
        return True
    return False


def _modules(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the first name of each module that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif node.module and not node.level:
        yield node.module.partition(".")[0]


def _imports(
    body: Sequence[ast.AST], *, is_certain: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the imports, and whether each must succeed.

    It need not under a condition, and where its failure is caught.
    """
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, is_certain
        elif isinstance(node, ast.Try) and any(_names_an_import_error(h) for h in node.handlers):
            yield from _imports([*node.body, *node.handlers], is_certain=False)
            yield from _imports([*node.orelse, *node.finalbody], is_certain=is_certain)
        else:
            suppressed = isinstance(node, ast.With) and any(map(_names_an_import_error, node.items))
            certain = is_certain and not suppressed and not isinstance(node, ast.If)
            yield from _imports(list(ast.iter_child_nodes(node)), is_certain=certain)


def _names_an_import_error(node: ast.ExceptHandler | ast.withitem) -> bool:
    named = node.type if isinstance(node, ast.ExceptHandler) else node.context_expr
    text = ast.dump(named) if named else "Exception"
    return any(name in text for name in ("ImportError", "ModuleNotFoundError", "Exception"))


def _handler_fault(path: Path, tree: ast.Module) -> tuple[str, str] | None:
    """Return why a module has no usable handler, and the fix."""
    bound: dict[str, list[ast.AST]] = {}
    for node in tree.body:
        again = dict[str, list[ast.AST]]()
        for name, value in _bindings([node]):
            again.setdefault(name, []).append(value)
        for name, values in again.items():
            is_certain = not isinstance(node, (ast.If, ast.Try))
            bound[name] = values if is_certain else [*bound.get(name, ()), *values]
    if HANDLER not in bound:
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        others = ", ".join(node.name for node in tree.body if isinstance(node, functions))
        fix = f"rename one of {others}" if others else f"add `def {HANDLER}(event, context): …`"
        return f"{path}: it has no function {HANDLER}(event, context)", fix
    faults = [_value_fault(value) for value in _values(HANDLER, bound)]
    if not faults or None in faults:
        return None  # one of its values may be the handler
    (line, rule, fix), *_ = [fault for fault in faults if fault]
    return f"{path}, line {line}: {HANDLER} {rule}", fix


def _values(name: str, bound: Mapping[str, list[ast.AST]]) -> Iterator[ast.AST]:
    """Yield what a name can stand for, through other names that it is set to."""
    names, seen = [name], set[str]()
    while names:
        for value in bound[names.pop()]:
            if not isinstance(value, ast.Name) or value.id not in bound:
                yield value
            elif value.id not in seen:
                seen.add(value.id)
                names.append(value.id)


def _value_fault(value: ast.AST) -> tuple[int, str, str] | None:
    """Return why Lambda cannot call a value: its line, the rule and the fix."""
    line, fix = getattr(value, "lineno", 1), f"write `def {HANDLER}(event, context):`"
    if getattr(value, "decorator_list", ()):
        return None  # nobody knows what the decorator makes of it
    if isinstance(value, ast.AsyncFunctionDef):
        return line, "is async, and Lambda awaits nothing", "write def without async"
    if isinstance(value, _NO_FUNCTIONS):
        return line, "is no function", fix
    if isinstance(value, (ast.FunctionDef, ast.Lambda)) and not _takes_two(value.args):
        return line, "does not take two arguments, which Lambda gives it", fix
    return None


def _takes_two(arguments: ast.arguments) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args]
    least = len(positional) - len(arguments.defaults)
    most = 2 if arguments.vararg else len(positional)
    keywords = [default for default in arguments.kw_defaults if default is None]
    return least <= 2 <= most and not keywords


def _bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that a module's statements bind, each with what it is bound to.

    That is the statement where its value cannot be seen, for example an import.
    """
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name, node) for alias in node.names)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
                else:
                    names = (name for name in ast.walk(target) if isinstance(name, ast.Name))
                    yield from ((name.id, node) for name in names)
        elif isinstance(node, ast.AnnAssign):
            if isinstance(node.target, ast.Name) and node.value is not None:
                yield node.target.id, node.value
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for child in ast.iter_child_nodes(node):
                inner = child.body if isinstance(child, ast.ExceptHandler) else [child]
                yield from _bindings([each for each in inner if isinstance(each, ast.stmt)])
