"""The commands under `retrain local`: everything on this machine, with no AWS account."""

from __future__ import annotations

import os
import shlex
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from retrain.commands.options import DEFAULT_CONFIG, ConfigFile, out
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
    from retrain import terminal  # noqa: PLC0415
    from retrain.live import run_view  # noqa: PLC0415
    from retrain.local.run import SampleSize, run_locally  # noqa: PLC0415

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


def serve(
    data_dir: Annotated[
        Path, typer.Option(help="Everything is kept here, and is there again the next time.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 takes a free one.")
    ] = 4566,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="Take account and region from this configuration; from retraining.toml if it is"
            " there and nothing says another.",
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(help="Account number in every ARN; 123456789012 if nothing says another."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            help="Region in every ARN; that of the environment, or us-east-1, if nothing says"
            " another.",
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option(min=0.0, help="Factor on Wait states; 0 does not wait.")
    ] = 1.0,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="DATABASE_URL",
            help="What this project's Glue job reads,"
            " postgresql://user:password@host:port/database.",
            show_default=False,
        ),
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(help="A quota of Personalize, e.g. campaigns=20; AWS's own if left out."),
    ] = None,
    auto_training: Annotated[
        bool,
        typer.Option(
            "--auto-training", help="Train solutions with performAutoTraining on their schedule."
        ),
    ] = False,
    env_file: Annotated[
        Path | None, typer.Option(help="Write the lines to export into this file too.")
    ] = None,
) -> None:
    """Serve the whole local AWS until Ctrl-C, for any program that uses an AWS SDK.

    Example: retrain local serve --port 4566 --data-dir aws
    """
    from localaws.personalize import Quotas  # noqa: PLC0415
    from localaws.served import DEFAULT_ACCOUNT, DEFAULT_REGION, Served  # noqa: PLC0415

    if config is not None:
        loaded = load_config(config)
        account, region = loaded.aws.account, loaded.aws.region
    set_region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    defaults = (DEFAULT_ACCOUNT, set_region or DEFAULT_REGION)
    if DEFAULT_CONFIG.exists():
        loaded = load_config(DEFAULT_CONFIG)
        defaults = (loaded.aws.account, loaded.aws.region)

    try:
        quotas = Quotas.of_texts(quota or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--quota") from error

    def say(line: str) -> None:
        out.print(escape(line))

    served = Served(
        directory=data_dir,
        account=account,
        region=region,
        defaults=defaults,
        port=port,
        time_scale=time_scale,
        database_url=database_url,
        quotas=quotas,
        auto_training=auto_training,
        say=say,
    )
    try:
        with served:
            lines = [
                f"export {name}={shlex.quote(value)}" for name, value in served.environment.items()
            ]
            if env_file is not None:
                env_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            there = [f"{n} {kind if n == 1 else f'{kind}s'}" for kind, n in served.counts().items()]
            say(f"{data_dir}: {', '.join(there) or 'nothing yet'}")
            say("\n".join(lines))
            say(f"Serving AWS on {served.endpoint.url} until Ctrl-C")
            threading.Event().wait()
    except SystemExit:
        say(f"Everything is kept in {data_dir}")
        raise


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
    from retrain.local import sample  # noqa: PLC0415

    counts = sample.load_sample(
        database_url, students=students, postings=postings, events=events, seed=seed
    )
    out.print(
        f"{counts.students:,} students, {counts.postings:,} job postings,"
        f" {counts.events:,} events: loaded"
    )
