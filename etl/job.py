"""The script of the Glue job.

    python etl/job.py --runtime local --run RUN --bucket BUCKET --spec s3://BUCKET/…/etl-job.json

It extracts the run's data (`etl.extraction`). With `--task filter` it makes the run's list of
recommendations instead (`etl.filtering`), with `--task deliver` it writes the published list of the
run into a table (`etl.delivery`), with `--task compare` it says which of several models made the
best lists (`etl.comparison`), with `--task recommend` it trains one itself (`etl.factorization`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from etl.arguments import parse_arguments
from etl.database import Database
from etl.errors import EtlError
from etl.java import GATEWAY, started_java


def main(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the job; `argv[0]` is the script.

    Raises:
        SystemExit: If it fails, with `ERROR: …` in one line; on Glue it is the run's message.
    """
    options = parse_arguments(argv)
    try:
        with ExitStack() as stack:
            java = None
            if options.runtime == "local" and GATEWAY[0] not in environment:
                database = Database.from_environment(environment)
                java = stack.enter_context(started_java(database, environment))
            # Java starts while Python imports Spark, which takes either about a second.
            from etl.tasks import perform  # noqa: PLC0415

            perform(options, environment, java=java, log=_log)
    except EtlError as error:
        raise SystemExit(f"ERROR: {error}") from None


def _log(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv, os.environ)
