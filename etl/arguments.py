"""The job's command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

BEGINNING, END, UNKNOWN = "beginning", "end", "unknown"
"""Arguments in place of a time, and of a content hash, that there is not."""
OUTPUT = "batch-output/"
"""Where the lists of batch inference are, below the run's prefix."""

Task = Literal["extract", "filter", "deliver", "compare", "recommend"]


@dataclass(frozen=True)
class Arguments:
    """The arguments of a run's command line.

    Attributes:
        runtime: `glue` or `local`.
        job_name: The Glue job's name.
        run: The run's name; everything is written below `runs/RUN/` of the bucket.
        bucket: The bucket's name.
        spec: S3 URI of the job specification.
        connection: The Glue connection to the database; unused locally.
        since: The first moment of the interactions that are read: a time, or `beginning`.
        until: The moment after the last one, or `end`.
        unchanged: The content hash of these interactions if there is nothing new, or `unknown`.
        after: The run whose import they follow, or `unknown`.
        task: `extract` writes the run's files, `filter` its list of recommendations, `deliver` the
            published list into a table, `compare` says which of several models is the best,
            `recommend` trains one and writes its lists.
        keep: The most items of a user in that list.
        output: Where the lists are that it is made of, below the run's prefix.
        settings: JSON, those of the tasks `compare` and `recommend`.
    """

    runtime: Literal["glue", "local"]
    job_name: str
    run: str
    bucket: str
    spec: str
    connection: str = ""
    since: str = BEGINNING
    until: str = END
    unchanged: str = UNKNOWN
    after: str = UNKNOWN
    task: Task = "extract"
    keep: int = 25
    output: str = OUTPUT
    settings: str = "{}"


_OPTIONAL: Mapping[str, Callable[[str], Any]] = {
    "since": str,
    "until": str,
    "unchanged": str,
    "after": str,
    "task": str,
    "keep": int,
    "output": str,
    "settings": str,
}


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Parse the command line, whose `argv[0]` is the script; on Glue by Glue's own parser."""
    parser = argparse.ArgumentParser(
        prog="etl/job.py",
        description="Read a database, write Amazon Personalize files.",
        allow_abbrev=False,
    )
    parser.add_argument("--runtime", choices=("glue", "local"), required=True)
    if "--help" not in argv and parser.parse_known_args(list(argv[1:]))[0].runtime == "glue":
        from etl.runtime import glue_options  # noqa: PLC0415  Spark takes a second

        # Glue's parser requires each name that it is asked for.
        optional = [name for name in _OPTIONAL if f"--{name}" in argv]
        names = ["JOB_NAME", "run", "bucket", "spec", "connection", *optional]
        options = glue_options(argv, names)
        return Arguments(
            runtime="glue",
            job_name=options["JOB_NAME"],
            run=options["run"],
            bucket=options["bucket"],
            spec=options["spec"],
            connection=options["connection"],
            **{name: _OPTIONAL[name](options[name]) for name in optional},
        )
    parser.add_argument("--JOB_NAME", dest="job_name", default="etl", help="name of the Glue job")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--bucket", required=True, help="bucket that the files go to")
    parser.add_argument("--spec", required=True, help="s3://… of the job specification")
    parser.add_argument("--connection", default="", help="Glue connection; unused locally")
    parser.add_argument("--since", default=BEGINNING, help="first moment of the interactions")
    parser.add_argument("--until", default=END, help="moment after the last one")
    parser.add_argument("--unchanged", default=UNKNOWN, help="content hash without anything new")
    parser.add_argument("--after", default=UNKNOWN, help="the run whose import they follow")
    parser.add_argument("--task", choices=get_args(Task), default="extract", help="what to do")
    parser.add_argument("--keep", type=int, default=25, help="most items of a user, for filter")
    parser.add_argument("--output", default=OUTPUT, help="folder of the lists, for filter")
    parser.add_argument("--settings", default="{}", help="JSON, of the tasks compare, recommend")
    # Glue passes every job further arguments, such as --JOB_RUN_ID.
    return Arguments(**vars(parser.parse_known_args(list(argv[1:]))[0]))
