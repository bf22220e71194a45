"""The commands of a new project: `init`, `preview` of its rows, and its `notebooks`."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from retrain.commands.options import DEFAULT_CONFIG, ConfigFile, out
from workflow.config import load_config
from workflow.personalize import REGIONS
from workflow.spelling import counted

if TYPE_CHECKING:
    from retrain.project.parts import Question

_JUPYTER = escape("pip install 'personalize-retraining[local,notebooks]'")
_ACCOUNT, _REGION = "123456789012", "us-east-1"
_LINE = 76  # letters of a guess in a line of a terminal, beside the indentation

DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar="DATABASE_URL",
        help="The database: postgresql://… or mysql://….",
        show_default=False,
    ),
]


def init(
    database_url: DatabaseUrl,
    directory: Annotated[Path, typer.Argument(help="The project's directory.")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", help="Take the best guesses, ask nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Propose a project from a database: configuration, ASL, notebooks, a test, a review on GitHub.

    It looks at tables, keys, types and the values of some rows: which table is the events, who are
    users and items, which columns are categories, numbers or texts, which are personal and left
    out, which rows count. The database is only read. What was guessed stands in retraining.toml.

    Example: retrain init --database-url postgresql://me:secret@127.0.0.1:5432/shop recommendations
    """
    from retrain.project.database.reading import read_schema  # noqa: PLC0415
    from retrain.project.files import project_files, refuse_to_overwrite, write_project  # noqa: PLC0415
    from retrain.project.proposal import propose  # noqa: PLC0415
    from retrain.project.toml_text import toml_text  # noqa: PLC0415

    set_region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION
    region = set_region if set_region in REGIONS else _REGION
    if not force:
        refuse_to_overwrite(directory)
    schema = read_schema(database_url)
    out.print(f"{escape(schema.database)}: looked at {counted(len(schema.tables), 'table')}")
    proposal = propose(schema, _guess if yes else _ask)
    texts = project_files(toml_text(proposal, account=_ACCOUNT, region=region))
    written, kept = write_project(directory, texts)
    out.print("Guessed, as retraining.toml says too:", style="bold")
    for guess in proposal.guesses:
        lines = textwrap.wrap(guess, _LINE, break_on_hyphens=False, break_long_words=False)
        out.print(escape("  " + "\n    ".join(lines)))
    _show_files(written, kept)
    out.print("Next:", style="bold")
    place = "" if directory == Path() else f"cd {directory}; "
    out.print(f"  {escape(place)}retrain preview --database-url …    some rows of each data set")
    out.print("  retrain local run --database-url …  the whole retraining on this machine")
    out.print("  In place of --database-url, DATABASE_URL may hold the URL: no file does.")
    out.print(f"  Notebooks too; {_JUPYTER}, then jupyter lab")


def notebooks(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Write the notebooks into notebooks/: explore, build and run, bring a model.

    They stand beside the configuration; those that exist are left as they are. Each reads AWS, or
    without credentials a local one on the database that DATABASE_URL names.

    Example: retrain notebooks
    """
    from retrain.project.files import notebook_files, write_project  # noqa: PLC0415

    load_config(config)
    _show_files(*write_project(config.parent, notebook_files()))
    out.print(f"Next: {_JUPYTER}, then jupyter lab", style="bold")


def _show_files(written: Sequence[Path], kept: Sequence[Path]) -> None:
    if written:
        out.print("Written:", style="bold")
    for path in written:
        out.print(f"  {escape(str(path))}")
    for path in kept:
        note = "; it should have /output/" if path.name == ".gitignore" else ""
        out.print(f"  {escape(str(path))}: exists, and is left as it is{note}", style="dim")


def _guess(question: Question) -> str:
    return question.guess


def _ask(question: Question) -> str:
    """Ask on the terminal, where the guess is the default.

    Raises:
        ProjectError: If there is no terminal.
    """
    from retrain.project.errors import ProjectError  # noqa: PLC0415

    if not sys.stdin.isatty():
        raise ProjectError(
            f"not sure: {question.text} Standard input is no terminal; write --yes to take the best"
            " guesses"
        )
    answers = list(question.choices)
    if answers == ["yes", "no"]:
        said = typer.confirm(f"{question.text} ({question.choices['yes']})", default=True)
        return answers[0 if said else 1]
    out.print(escape(question.text))
    for number, (answer, meaning) in enumerate(question.choices.items(), 1):
        out.print(f"  {number}  [bold]{escape(answer)}[/]  {escape(meaning)}")
    while True:
        chosen: int = typer.prompt("Number", default=1, type=int)
        if 1 <= chosen <= len(answers):
            return answers[chosen - 1]
        out.print(f"{chosen} is not one of the numbers; write 1 to {len(answers)}")


def preview(
    database_url: DatabaseUrl,
    config: ConfigFile = DEFAULT_CONFIG,
    rows: Annotated[int, typer.Option(min=0, help="Rows that are shown of each.")] = 3,
    sample: Annotated[int, typer.Option(min=1, help="Rows that are read of each table.")] = 1_000,
) -> None:
    """Show some rows of each data set as they will be written, and why others are rejected.

    The job's own code reads the first rows of each table, by LIMIT, and of joined tables their
    partners: shares and counts are of these rows. Nothing is written.

    Exit code 1: something does not fit the database, or a table that is needed has no rows.

    Example: retrain preview --database-url postgresql://me:secret@127.0.0.1:5432/shop --rows 5
    """
    from retrain.preview_tables import show_preview  # noqa: PLC0415
    from retrain.project.preview import preview_database, remarks  # noqa: PLC0415

    loaded = load_config(config)
    share = loaded.etl.max_rejected_share
    has_rows = preview_database(
        loaded.job_spec(),
        database_url,
        source=str(config),
        rows=rows,
        sample=sample,
        environment=os.environ,
        show=lambda each: show_preview(out, each, remarks(each, share)),
    )
    if not has_rows:
        raise typer.Exit(1)
