"""The commands under `retrain local`: everything on this machine, with no AWS account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflow.cli.options import DEFAULT_CONFIG, ConfigFile, out
from workflow.config import load_config

_SAMPLE = "Of the sample database."


def run(
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
    students: Annotated[int, typer.Option(min=1, help=_SAMPLE)] = 5_000,
    postings: Annotated[int, typer.Option(min=1, help=_SAMPLE)] = 800,
    events: Annotated[int, typer.Option(min=1, help=_SAMPLE)] = 150_000,
    seed: Annotated[int, typer.Option(help=_SAMPLE)] = 0,
) -> None:
    """Perform the whole retraining once: real database, real Spark job, real training.

    Example: retrain local run --database-url postgresql://me:secret@127.0.0.1:5432/shop
    """
    from localaws.local_run import SampleSize, run_locally  # noqa: PLC0415
    from workflow import terminal  # noqa: PLC0415
    from workflow.run_view import run_view  # noqa: PLC0415

    loaded = load_config(config)
    with run_view(out) as view:
        outcome = run_locally(
            loaded,
            output=output,
            database_url=database_url,
            sample=SampleSize(students, postings, events, seed),
            view=view,
            time_scale=time_scale,
        )
    terminal.show_durations(out, outcome.durations)
    if outcome.failure:
        terminal.show_failure(out, outcome.failure)
    else:
        terminal.show_recommendations(out, output / "recommendations.csv")
        terminal.show_metrics(out, outcome.metrics)
    out.print("Written:", style="bold")
    for path in outcome.files:
        out.print(f"  {path}")
    if outcome.failure:
        raise typer.Exit(1)


def load_sample(
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
    from localaws import sample  # noqa: PLC0415

    counts = sample.load_sample(
        database_url, students=students, postings=postings, events=events, seed=seed
    )
    out.print(
        f"{counts.students:,} students, {counts.postings:,} job postings,"
        f" {counts.events:,} events: loaded"
    )
