"""The command reference, and the short list of commands: the Typer application as Markdown.

Read from the application's own registrations and the functions' signatures, so that the text does
not change with Typer's way of drawing help.
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
An error is one message on standard error and exit code 1, without a traceback. SIGINT and SIGTERM
end a command with 128 and their number, and leave nothing running.

"""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: with its group's, for example `local run`.
        panel: the group of commands that it is listed in.
        function: what it calls; its docstring and signature are what people read.
    """

    name: str
    panel: str
    function: Callable[..., Any]

    @property
    def paragraphs(self) -> list[str]:
        """The docstring, a paragraph each, without the example."""
        return [text for text in self._told if not text.startswith(_EXAMPLE)]

    @property
    def summary(self) -> str:
        """What it does, without what else there is to say: the first clause of the docstring."""
        return re.split(r"; |(?<=\w)\. ", self.paragraphs[0])[0].rstrip(".")

    @property
    def examples(self) -> list[str]:
        """The command lines that the docstring names."""
        return [text.removeprefix(_EXAMPLE) for text in self._told if text.startswith(_EXAMPLE)]

    @property
    def _told(self) -> list[str]:
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


def _text(told: Any) -> str:
    """Return what was told, nothing where Typer holds a placeholder."""
    return told if isinstance(told, str) else ""


def command_list(app: typer.Typer) -> str:
    """Return the commands, each with what it does, as lines of plain text."""
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
    """Return the page."""
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
        kind, info = _annotation(parameter.annotation)
        required = parameter.default is inspect.Parameter.empty
        hidden = info.show_default is False or parameter.default in (None, "")
        default = "**required**" if required else "–"
        if not required and not hidden and kind is not bool:
            default = code(str(parameter.default))
        told = info.help or ""
        if info.envvar:
            told += f" Also read from the environment variable {info.envvar}."
        meaning = f"{prose(told)}{_bounds(info)}"
        if isinstance(info, ArgumentInfo):
            word = name.upper() if required else f"[{name.upper()}]"
            yield _Parameter(True, word, default, meaning)
        else:
            yield _Parameter(False, _usage(name, kind, info), default, meaning)


def _annotation(annotation: Any) -> tuple[Any, OptionInfo | ArgumentInfo]:
    """Return the type that an option takes, and what Typer was told of it."""
    info: OptionInfo | ArgumentInfo = OptionInfo()
    if get_origin(annotation) is Annotated:
        annotation, *further = get_args(annotation)
        info = next((one for one in further if isinstance(one, OptionInfo | ArgumentInfo)), info)
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    return annotation, info


def _usage(name: str, kind: Any, info: OptionInfo | ArgumentInfo) -> str:
    usual = f"--{name.replace('_', '-')}"
    # In Annotated[…] the first name stands where a default would.
    first = info.default if isinstance(info.default, str) and info.default[:1] == "-" else ""
    names = sorted({first, *(info.param_decls or ())} - {""}, key=len, reverse=True)
    if kind is bool:
        return ", ".join(map(code, names or (usual, f"--no-{usual[2:]}")))
    value = _VALUES.get(kind, "VALUE")
    names = names or [usual]
    return ", ".join(code(f"{one} {value}") for one in names)


def _bounds(info: OptionInfo | ArgumentInfo) -> str:
    if info.min is not None and info.max is not None:
        return f" {info.min:,} to {info.max:,}."
    return "" if info.min is None else f" {info.min:,g} or more."
