"""What `--help` shows: every text as it is written, at the width that terminals usually have."""

import inspect
import re

import pytest
from typer.testing import CliRunner

from docs.reference.commands import Command, commands_of
from retrain.main import app


def without_layout(text: str) -> str:
    """Return a text without spaces, line breaks and the lines of boxes."""
    return re.sub(r"[\s│╭╮╰╯─]", "", text)


def help_texts(command: Command) -> list[str]:
    """Return the docstring of a command, and the help of each of its options and arguments."""
    parameters = inspect.signature(command.function, eval_str=True).parameters.values()
    infos = (info for each in parameters for info in getattr(each.annotation, "__metadata__", ()))
    return [inspect.getdoc(command.function) or "", *(info.help for info in infos if info.help)]


@pytest.mark.parametrize("command", commands_of(app), ids=lambda command: command.name)
def test_every_help_text_is_shown_as_it_is_written(command: Command) -> None:
    arguments = [*command.name.split(), "--help"]

    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"}).stdout

    assert max(map(len, shown.splitlines())) == 80
    # The column of the options stands between the lines of a text in the next one.
    words = without_layout(shown)
    for text in help_texts(command):
        missing = [word for word in text.split() if without_layout(word) not in words]
        assert missing == [], shown


def test_the_list_of_commands_names_tables_of_the_configuration() -> None:
    assert (
        "as [retention] says" in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    )
