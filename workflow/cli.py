"""The command `retrain`; thin: it reads arguments, calls the library and prints.

One place turns the library's errors into one message and an exit code: `main`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from localaws.errors import LocalAwsError
from workflow.config import Config, ConfigError, load_config

app = typer.Typer(
    help="Keep Amazon Personalize recommendations fresh: database → data sets → training → CSV.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
local = typer.Typer(help="Everything on this machine, with no AWS account.", no_args_is_help=True)
app.add_typer(local, name="local")

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration.", show_default=True)
]
DEFAULT_CONFIG = Path("retraining.toml")
ASL_DIRECTORY = Path("asl")
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the configuration and the workflow's structure; calls nothing.

    Example: retrain check --config retraining.toml
    """
    from workflow.render import render  # noqa: PLC0415  the SDK costs half a second

    loaded = load_config(config)
    render(loaded)
    _out.print(f"{config}: sound")
    for data_set in loaded.data_sets:
        _out.print(f"  {data_set.type:<13}{', '.join(data_set.header)}")


@app.command()
def render(
    config: ConfigFile = DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="Directory of the rendered files.")] = ASL_DIRECTORY,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if the files are stale.")
    ] = False,
) -> None:
    """Render the workflow to Amazon States Language, with its picture, for review.

    Example: retrain render --check
    """
    from workflow.render import difference  # noqa: PLC0415

    stale = False
    for path, text in _rendered(load_config(config), output).items():
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if there == text:
            _out.print(f"{path}: up to date")
        elif check:
            stale = True
            _out.print(f"{path}: stale", style="red")
            _out.print(escape(difference(there, text)), end="")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            _out.print(f"{path}: written")
    if stale:
        _err.print("run 'retrain render' and commit what it writes")
        raise typer.Exit(1)


@local.command("run")
def local_run(
    config: ConfigFile = DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("output"),
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="DATABASE_URL",
            help="Read this database, postgresql://user:password@host:port/database;"
            " a sample database is started if left out.",
            show_default=False,
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option(min=0.0, help="Factor on Wait states; 0 does not wait.")
    ] = 0.0,
    students: Annotated[int, typer.Option(min=1, help="Of the sample database.")] = 5_000,
    postings: Annotated[int, typer.Option(min=1, help="Of the sample database.")] = 800,
    events: Annotated[int, typer.Option(min=1, help="Of the sample database.")] = 150_000,
    seed: Annotated[int, typer.Option(help="Of the sample database.")] = 0,
) -> None:
    """Perform the whole retraining once: real database, real Spark job, real training.

    Example: retrain local run --database-url postgresql://me:secret@127.0.0.1:5432/shop
    """
    from localaws.local_run import SampleSize, run_locally  # noqa: PLC0415
    from workflow import terminal  # noqa: PLC0415

    loaded = load_config(config)
    with terminal.RunView(_out) as view:
        outcome = run_locally(
            loaded,
            output=output,
            database_url=database_url,
            sample=SampleSize(students, postings, events, seed),
            view=view,
            time_scale=time_scale,
        )
    terminal.show_durations(_out, outcome.durations)
    if outcome.failure:
        terminal.show_failure(_out, outcome.failure)
    else:
        terminal.show_recommendations(_out, output / "recommendations.csv")
        terminal.show_metrics(_out, outcome.metrics)
    _out.print("Written:", style="bold")
    for path in outcome.files:
        _out.print(f"  {path}")
    if outcome.failure:
        raise typer.Exit(1)


@local.command("load-sample")
def local_load_sample(
    database_url: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="An empty PostgreSQL database.")
    ],
    students: Annotated[int, typer.Option(min=1)] = 5_000,
    postings: Annotated[int, typer.Option(min=1)] = 800,
    events: Annotated[int, typer.Option(min=1)] = 150_000,
    seed: int = 0,
) -> None:
    """Load the sample data into a PostgreSQL of your own.

    Example: retrain local load-sample --database-url postgresql://me:secret@127.0.0.1:5432/empty
    """
    from localaws.sample import load_sample  # noqa: PLC0415

    counts = load_sample(
        database_url, students=students, postings=postings, events=events, seed=seed
    )
    _out.print(
        f"{counts.students:,} students, {counts.postings:,} job postings,"
        f" {counts.events:,} events: loaded"
    )


def _rendered(config: Config, directory: Path) -> dict[Path, str]:
    from workflow.diagram import mermaid_page  # noqa: PLC0415
    from workflow.graph import retraining_graph  # noqa: PLC0415
    from workflow.render import render_definition  # noqa: PLC0415

    definition = retraining_graph(config).to_dict()
    return {
        directory / "retraining.asl.json": render_definition(definition),
        directory / "retraining.md": mermaid_page(f"{config.state_machine}", definition),
    }


def _stop(number: int, _: object) -> NoReturn:
    """Unwind: what was started ends on the way. Asking again does not interrupt that."""
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)
    # Console and sys.stderr may be in the middle of a write; a system call never is.
    os.write(sys.stderr.fileno(), b"\nstopping: ending what was started\n")
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command; every error of the library becomes one message and exit code 1.

    SIGINT, SIGTERM and SIGHUP end it with 128 + their number, and nothing left running.
    """
    for each in _STOPPING:
        if signal.getsignal(each) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(each, _stop)
    try:
        app()
    except (ConfigError, LocalAwsError) as error:
        _err.print(escape(str(error)), style="red")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _err.print(escape(f"{where}{error.strerror or error}"), style="red")
    else:
        return
    sys.exit(1)
