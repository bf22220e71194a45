"""The command reference, and the short list of commands: the Typer application as Markdown.

Read from the application's own registrations and the functions' signatures, so that the text does
not change with Typer's layout of help.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from docs.reference.markdown import code, prose, table

PROGRAM = "retrain"
_EXAMPLE = "Example: "
_VALUES = {Path: "PATH", str: "TEXT", int: "NUMBER", float: "NUMBER"}
_INTRODUCTION = f"""\
# Commands

<!-- Written by `python -m docs.reference` from retrain/commands. -->

`{PROGRAM}` is installed into `.venv/bin`; `{PROGRAM} COMMAND --help` shows the same as this page.
An error is one message on standard error and exit code 1, of `retrain diff` 2, without a traceback.
SIGINT and SIGTERM end a command with 128 and their number, and leave nothing running.

"""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        name: Its name with its group's, for example `local run`.
        panel: The panel of the help that lists it.
        function: The function, whose docstring and signature are the documentation.
    """

    name: str
    panel: str
    function: Callable[..., Any]

    @property
    def paragraphs(self) -> list[str]:
        """The docstring's paragraphs, without the examples."""
        return [text for text in self._docstring if not text.startswith(_EXAMPLE)]

    @property
    def summary(self) -> str:
        """The first clause of the docstring."""
        return re.split(r"; |(?<=\w)\. ", self.paragraphs[0])[0].rstrip(".")

    @property
    def examples(self) -> list[str]:
        """The command lines of the docstring's examples."""
        return [
            text.removeprefix(_EXAMPLE) for text in self._docstring if text.startswith(_EXAMPLE)
        ]

    @property
    def _docstring(self) -> list[str]:
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        return [" ".join(text.split()) for text in paragraphs]


def commands_of(app: typer.Typer) -> list[Command]:
    """Return every command in the order of `--help`."""
    return list(_commands(app, "", ""))


def _commands(app: typer.Typer, prefix: str, panel: str) -> Iterator[Command]:
    for registered in app.registered_commands:
        if registered.callback is not None and not registered.hidden:
            name = registered.name or registered.callback.__name__.replace("_", "-")
            yield Command(
                prefix + name, panel or _text(registered.rich_help_panel), registered.callback
            )
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(
                group.typer_instance, f"{prefix}{group.name} ", _text(group.rich_help_panel)
            )


def _text(panel: Any) -> str:
    """Return the panel's name, empty for Typer's placeholder."""
    return panel if isinstance(panel, str) else ""


def command_list(app: typer.Typer) -> str:
    """Return the commands with their summaries, as lines of plain text."""
    commands = commands_of(app)
    width = max(len(command.name) for command in commands)
    lines = [f"{PROGRAM} COMMAND --help says more, with an example"]
    panel = ""
    for command in commands:
        if command.panel != panel:
            panel = command.panel
            lines.append(panel)
        lines.append(f"  {command.name:<{width}}  {command.summary}")
    return "\n".join(lines) + "\n"


def commands_page(app: typer.Typer) -> str:
    """Return the command reference."""
    text, panel = _INTRODUCTION, ""
    for command in commands_of(app):
        if command.panel != panel:
            panel = command.panel
            text += f"## {panel}\n\n"
        text += _section(command)
    return text.rstrip("\n") + "\n"


def _section(command: Command) -> str:
    arguments = [row for row in _parameters(command.function) if row.is_argument]
    options = [row for row in _parameters(command.function) if not row.is_argument]
    synopsis = [PROGRAM, command.name, *(argument.usage for argument in arguments), "[OPTIONS]"]
    text = f"### {PROGRAM} {command.name}\n\n"
    text += "".join(f"{prose(paragraph)}\n\n" for paragraph in command.paragraphs)
    text += f"```text\n{' '.join(synopsis)}\n```\n\n"
    if arguments:
        rows = [(code(each.usage), each.meaning, each.default) for each in arguments]
        text += table(("argument", "meaning", "default"), rows) + "\n"
    rows = [(each.usage, each.meaning, each.default) for each in options]
    text += table(("option", "meaning", "default"), rows) + "\n"
    if command.examples:
        lines = "".join(f"$ {example}\n" for example in command.examples)
        text += f"```console\n{lines}```\n\n"
    return text


@dataclass(frozen=True)
class _Parameter:
    is_argument: bool
    usage: str
    default: str
    meaning: str


def _parameters(function: Callable[..., Any]) -> Iterator[_Parameter]:
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        value_type, info = _annotation(parameter.annotation)
        required = parameter.default is inspect.Parameter.empty
        hidden = info.show_default is False or parameter.default in (None, "")
        default = "**required**" if required else "–"
        if not required and not hidden and value_type is not bool:
            default = code(str(parameter.default))
        help_text = info.help or ""
        if info.envvar:
            help_text += f" Also read from the environment variable {info.envvar}."
        meaning = f"{prose(help_text)}{_bounds(info)}"
        if isinstance(info, ArgumentInfo):
            usage = name.upper() if required else f"[{name.upper()}]"
            yield _Parameter(True, usage, default, meaning)
        else:
            yield _Parameter(False, _usage(name, value_type, info), default, meaning)


def _annotation(annotation: Any) -> tuple[Any, OptionInfo | ArgumentInfo]:
    """Return the type of a parameter's value, and Typer's description of the parameter."""
    info: OptionInfo | ArgumentInfo = OptionInfo()
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        info = next((m for m in metadata if isinstance(m, OptionInfo | ArgumentInfo)), info)
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    return annotation, info


def _usage(name: str, value_type: Any, info: OptionInfo | ArgumentInfo) -> str:
    default_name = f"--{name.replace('_', '-')}"
    # In Annotated[…] Typer holds the first name as the default.
    first = info.default if isinstance(info.default, str) and info.default[:1] == "-" else ""
    names = sorted({first, *(info.param_decls or ())} - {""}, key=len, reverse=True)
    if value_type is bool:
        return ", ".join(map(code, names or (default_name, f"--no-{default_name[2:]}")))
    value = _VALUES.get(value_type, "VALUE")
    return ", ".join(code(f"{option} {value}") for option in names or [default_name])


def _bounds(info: OptionInfo | ArgumentInfo) -> str:
    if info.min is not None and info.max is not None:
        return f" {info.min:,} to {info.max:,}."
    return "" if info.min is None else f" {info.min:,g} or more."
