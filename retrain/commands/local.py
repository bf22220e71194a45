"""The commands under `retrain local`: everything on this machine, with no AWS account."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from retrain import run_tables, tables
from retrain.commands.options import DEFAULT_CONFIG, ConfigFile, out
from retrain.files import write_whole
from retrain.live import run_view
from retrain.local.sample_size import SampleSize
from workflow.config import load_config

if TYPE_CHECKING:
    from localaws.aws import LocalAws

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="DATABASE_URL",
        help="Read this database: postgresql://… or mysql://….",
        show_default=False,
    ),
]
Students = Annotated[int, typer.Option(min=1, help="Of the sample database.")]
Postings = Annotated[int, typer.Option(min=1, help="Of the sample database.")]
Events = Annotated[int, typer.Option(min=1, help="Of the sample database.")]
Seed = Annotated[int, typer.Option(help="Of the sample database.")]
TimeScale = Annotated[float, typer.Option(min=0.0, help="Factor on Wait states; 0 does not wait.")]


def _matching(pattern: str, rule: str) -> Callable[[str | None], str | None]:
    """Return a check of an option's value."""

    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise typer.BadParameter(f"{value!r}: {rule}")
        return value

    return check


# What `serve` has besides.
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        help="Keep everything in this directory, where the next start finds it; if left out,"
        " nothing outlives the command.",
        show_default=False,
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 takes a free one.")]
OptionalConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Take account and region from this configuration; from retraining.toml if it is"
        " there and nothing says another.",
    ),
]
Account = Annotated[
    str | None,
    typer.Option(
        help="Account number in every ARN; 123456789012 if nothing says another.",
        callback=_matching(r"\d{12}", "an account number has 12 digits"),
    ),
]
Region = Annotated[
    str | None,
    typer.Option(
        help="Region in every ARN; that of the environment, or us-east-1, if nothing says another.",
        callback=_matching(r"[a-z]{2}(-[a-z]+)+-\d", "write a region such as us-east-1"),
    ),
]
WithSample = Annotated[
    bool,
    typer.Option("--sample", help="Start a PostgreSQL with the sample data too, and read that."),
]
QuotaList = Annotated[
    list[str] | None,
    typer.Option(help="A quota of Personalize, e.g. campaigns=20; AWS's own if left out."),
]
AutoTraining = Annotated[
    bool,
    typer.Option(
        "--auto-training", help="Train solutions with performAutoTraining on their schedule."
    ),
]
AllowedOrigin = Annotated[
    str,
    typer.Option(
        "--allow-origin",
        help="Take requests of web pages of this origin, e.g. http://localhost:3000; of none if"
        " left out.",
        show_default=False,
    ),
]
Repair = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="If the data directory's database is lost, say what is moved aside, ask, and begin"
        " with nothing.",
    ),
]
EnvironmentFile = Annotated[
    Path | None, typer.Option(help="Write the lines to export into this file too.")
]
UntilEof = Annotated[
    bool,
    typer.Option(
        "--until-eof",
        help="End when standard input is closed, as it is when the program that started this one"
        " has ended.",
    ),
]


def run(
    config: ConfigFile = DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("output"),
    database_url: DatabaseUrl = None,
    time_scale: TimeScale = 0.0,
    students: Students = 5_000,
    postings: Postings = 800,
    events: Events = 150_000,
    seed: Seed = 0,
    archive_classes: Annotated[
        bool,
        typer.Option(
            "--archive-classes",
            help="At the end, archive the classes that the Spark job has loaded: every Spark job on"
            " this machine starts faster by it.",
        ),
    ] = False,
) -> None:
    """Perform the whole retraining once: real database, real Spark job, real training.

    Without a database URL it starts a PostgreSQL with the sample data.

    Example: retrain local run --database-url postgresql://me:secret@127.0.0.1:5432/shop
    """
    from retrain.local.run import run_locally  # noqa: PLC0415
    from workflow.definition.graph import retraining_graph  # noqa: PLC0415

    loaded = load_config(config)
    with run_view(out, retraining_graph(loaded).to_dict()) as view:
        outcome = run_locally(
            loaded,
            output=output,
            database_url=database_url,
            sample=SampleSize(students, postings, events, seed),
            view=view,
            time_scale=time_scale,
            archive_classes=archive_classes,
        )
    tables.show_durations(out, outcome.durations)
    if outcome.failure:
        run_tables.show_failure(out, outcome.failure)
    else:
        tables.show_recommendations(out, output / "recommendations.csv", outcome.titles)
        tables.show_metrics(out, outcome.metrics)
        if "comparison" in outcome.metrics:
            tables.show_comparison(out, outcome.metrics["comparison"])
    out.print("Written:", style="bold")
    for path in outcome.files:
        out.print(f"  {escape(str(path))}")
    if outcome.failure:
        raise typer.Exit(1)


def serve(
    data_dir: DataDirectory = None,
    port: Port = 4566,
    config: OptionalConfig = None,
    account: Account = None,
    region: Region = None,
    time_scale: TimeScale = 1.0,
    database_url: DatabaseUrl = None,
    sample: WithSample = False,
    students: Students = 5_000,
    postings: Postings = 800,
    events: Events = 150_000,
    seed: Seed = 0,
    quota: QuotaList = None,
    auto_training: AutoTraining = False,
    allow_origin: AllowedOrigin = "",
    repair: Repair = False,
    env_file: EnvironmentFile = None,
    until_eof: UntilEof = False,
) -> None:
    """Serve the whole local AWS until Ctrl-C, for any program that uses an AWS SDK.

    Example: retrain local serve --port 4566 --data-dir aws
    """
    from localaws.aws import LocalAws  # noqa: PLC0415
    from localaws.http.browsers import ORIGIN  # noqa: PLC0415
    from localaws.personalize import Quotas  # noqa: PLC0415
    from retrain.local.database import sample_database  # noqa: PLC0415
    from retrain.local.scratch import scratch_directory  # noqa: PLC0415

    account, region, defaults = _identity(config, account, region)
    try:
        quotas = Quotas.of_texts(quota or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--quota") from error
    if allow_origin and not ORIGIN.fullmatch(allow_origin):
        raise typer.BadParameter(
            f"{allow_origin!r} is no origin; write scheme, host and port as the browser does, e.g."
            " http://localhost:3000",
            param_hint="--allow-origin",
        )
    if until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    with ExitStack() as stack:
        try:
            scratch = data_dir
            if scratch is None or sample:
                scratch = stack.enter_context(scratch_directory("retrain-local-"))
            if sample:
                size = SampleSize(students, postings, events, seed)
                database_url = stack.enter_context(sample_database(scratch, size))
                _print(f"Sample database: {size}")
            aws = LocalAws(
                directory=data_dir or scratch / "aws",
                account=account,
                region=region,
                defaults=defaults,
                port=port,
                time_scale=time_scale,
                database_url=database_url,
                quotas=quotas,
                auto_training=auto_training,
                allowed_origin=allow_origin,
                repair=typer.confirm if repair else None,
                log=_print,
            )
            stack.enter_context(aws)
            exported = aws.environment
            if sample and database_url:
                exported["DATABASE_URL"] = database_url
            _show(aws, exported, data_dir, env_file)
            threading.Event().wait()
        except SystemExit:
            if data_dir:
                stack.callback(_print, f"Everything is kept in {data_dir}")
            raise


def _identity(
    config: Path | None, account: str | None, region: str | None
) -> tuple[str | None, str | None, tuple[str, str]]:
    """Return account and region as configured, and those of a data directory that has none yet."""
    from localaws.aws import DEFAULT_ACCOUNT, DEFAULT_REGION  # noqa: PLC0415

    if config is not None:
        loaded = load_config(config)
        account, region = account or loaded.aws.account, region or loaded.aws.region
    set_region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    defaults = (DEFAULT_ACCOUNT, set_region or DEFAULT_REGION)
    if not (account and region) and DEFAULT_CONFIG.exists():
        loaded = load_config(DEFAULT_CONFIG)
        defaults = (loaded.aws.account, loaded.aws.region)
    return account, region, defaults


def _show(
    aws: LocalAws, exported: Mapping[str, str], data_dir: Path | None, env_file: Path | None
) -> None:
    """Print the contents of the data directory and the URL of the local AWS."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]
    if env_file is not None:
        write_whole(env_file, "\n".join(lines) + "\n")
    counts = [
        f"{count} {resource_type if count == 1 else f'{resource_type}s'}"
        for resource_type, count in aws.counts().items()
    ]
    if data_dir is not None:
        _print(f"{data_dir}: {', '.join(counts) or 'nothing yet'}")
    _print("\n".join(lines))
    _print(f"Serving AWS on {aws.endpoint.url} until Ctrl-C")


def _print(line: str) -> None:
    out.print(escape(line))


def _end_with_input() -> None:
    if sys.stdin is not None:  # None where the standard input was closed before the start
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def load_sample(
    database_url: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="An empty PostgreSQL database.")
    ],
    students: Students = 5_000,
    postings: Postings = 800,
    events: Events = 150_000,
    seed: Seed = 0,
) -> None:
    """Load the sample data into a PostgreSQL of your own.

    Example: retrain local load-sample --database-url postgresql://me:secret@127.0.0.1:5432/empty
    """
    from retrain.local.sample import load_sample as load  # noqa: PLC0415

    size = SampleSize(students, postings, events, seed)
    load(database_url, size)
    out.print(f"{size}: loaded")
