"""The comparison of models: the lists of each, against what was held out from all of them.

    compare(runtime, {"personalize": "batch-output/", …}, by=…, log=…)

    holdout/ ─┬─ of users that lists were asked for ─ what their lists should have ─┐
    batch-input/ ┘                                                                  ├─ metrics
    output of each model ─ the first items of each list, as the model ranks them ───┘

One protocol for all: the same users, the same items, lists as they are before anything is filtered;
a user for whom a model has no list counts as one without a hit. What was compared is in the run's
`record/comparison.json`, with the name of the best.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.arguments import OUTPUT
from etl.batch_files import output_paths, requested_users
from etl.errors import EtlError
from etl.holdout import PAIRS
from etl.published import read_json
from etl.ranking import COMPARED, COVERAGE, DEPTH, INTERVALS, compared
from etl.runtime import RunFolder, Runtime
from lambdas.recommendations import list_of

RECORD = "record/comparison.json"
_GATE = "record/gate.json"  # what the quality gate decided of Personalize's version

_LINE = "user string, items array<string>"


def compare(
    runtime: Runtime, outputs: Mapping[str, str], *, by: str, log: Callable[[str], None]
) -> dict[str, Any]:
    """Run Spark jobs: measure the lists of each model, and write the record.

    Personalize is left out if the quality gate has refused its version and found no other.

    Args:
        runtime: The job's runtime; its folder is the run's.
        outputs: Model → prefix of its output below the run's, JSON lines as of batch inference.
        by: The metric whose greatest value decides, one of `COMPARED`; of equal ones the first
            model has it.
        log: Called with each line of the log.

    Returns:
        The record: `users` that were tested, `metrics` of each model, each with `value`, `low` and
        `high`, beside those of the most popular items (`popularity`, `difference`); `best`, and by
        which metric; `lists`, the tested users for whom each model has one; `leftOut`, the models
        that were not compared, with the reason.

    Raises:
        EtlError: If there is no such metric, the run has no hold-out, nobody of it was asked for,
            or a model has no output, or other lines than the batch input.
    """
    if by not in COMPARED:
        raise EtlError(f"by {by}: models are compared by one of {', '.join(COMPARED)}")
    folder = runtime.folder
    manifest = folder.manifest()
    entry = manifest.get("holdout")
    if not entry:
        raise EtlError(
            f"{folder.uri('manifest.json')} has no hold-out: start a new execution, whose Spark job"
            " makes one"
        )
    left_out = dict(_left_out(folder, outputs))
    outputs = {model: prefix for model, prefix in outputs.items() if model not in left_out}
    if not outputs:
        raise EtlError(f"there is no list to compare: {'; '.join(left_out.values())}")
    for model, reason in left_out.items():
        log(f"── {model} is left out: {reason}")
    with ExitStack() as stack:

        def kept(frame: DataFrame) -> DataFrame:
            stack.callback(frame.unpersist)
            return frame.persist()

        users = requested_users(runtime).select("USER_ID").distinct()
        held_out = _held_out(runtime, entry)
        wanted = kept(held_out.join(users, "USER_ID", "left_semi"))
        tested = kept(wanted.select("USER_ID").distinct())
        n_tested = tested.count()
        if not n_tested:
            raise EtlError(
                f"none of the {entry['users']:,} users whose newest interactions were held out is"
                " among those that lists are made for; compare models where more of these have"
                ' interactions, or name one of them in publish.from, in place of "best"'
            )
        ranks = [(item, rank) for rank, item in enumerate(entry["popular"], start=1)]
        top = wanted.sparkSession.createDataFrame(ranks, "ITEM_ID string, RANK int")
        popular = kept(wanted.join(F.broadcast(top), "ITEM_ID").select("USER_ID", "RANK"))
        models: dict[str, dict[str, Any]] = {}
        for number, (model, prefix) in enumerate(outputs.items()):
            log(f"progress {number}/{len(outputs)} {model}")
            output = kept(_output(runtime, model, prefix))
            if prefix != OUTPUT:  # Personalize has a line for each line of its input
                _check_lines(
                    output, manifest["batchInput"]["rows"], f"{model}: {folder.uri(prefix)}"
                )
            lists = kept(_lists(output).join(tested, "USER_ID", "left_semi"))
            models[model] = _measured(lists, wanted, popular, entry)
            log(f"── {model}: {_in_words(models[model], by)}")
    best = max(models, key=lambda model: models[model]["metrics"][by]["value"])
    record = {
        "run": folder.run,
        "best": best,
        "by": by,
        "users": n_tested,
        "heldOut": {name: entry[name] for name in ("interactions", "users")},
        "models": models,
        "leftOut": left_out,
        "intervals": INTERVALS,
    }
    runtime.commit(json.dumps(record, ensure_ascii=False, indent=2) + "\n", path=RECORD)
    log(f"progress {len(outputs)}/{len(outputs)} done")
    return record


def _left_out(folder: RunFolder, outputs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the models that make no lists in this run, with the reason."""
    gate = read_json(folder, folder.key(_GATE)) or {}
    for model, prefix in outputs.items():
        if prefix == OUTPUT and gate and not gate.get("served"):
            yield model, f"the quality gate refused its version: {gate.get('reason')}"


def _held_out(runtime: Runtime, entry: Mapping[str, Any]) -> DataFrame:
    if not entry["rows"]:
        raise EtlError(
            "nothing was held out: no user of the tenth that is tested has two interactions that"
            ' count; name a model in publish.from, in place of "best"'
        )
    return runtime.read_csv(runtime.folder.uri(entry["path"]), PAIRS, escape="\\")


def _output(runtime: Runtime, model: str, prefix: str) -> DataFrame:
    """Return `user` and `items` of each line of a model's output; both are null of an error."""
    try:
        outputs = output_paths(runtime.folder, prefix)
    except EtlError as error:
        raise EtlError(f"{model}: {error}") from None
    read = F.udf(list_of, _LINE)
    lines = runtime.read_lines(outputs).filter(F.trim(F.col("line").cast("string")) != "")
    return lines.select(read("line").alias("read")).select("read.*")


def _check_lines(output: DataFrame, requested: int, where: str) -> None:
    """Raise if a model has not one line for each line of the batch input.

    A list that is there twice would count twice, and one that is not there as a bad one.

    Raises:
        EtlError: With the numbers of lines.
    """
    (size,) = output.agg(
        F.count(F.lit(1)).alias("lines"),
        F.count("user").alias("lists"),
        F.countDistinct("user").alias("users"),
    ).collect()
    fix = "a model writes one line for each that it gets; mend what predict_fn and output_fn return"
    if size["lines"] != requested:
        raise EtlError(
            f"{where} has {size['lines']:,} lines, and batch-input/ has {requested:,}: {fix}"
        )
    if size["lists"] != size["users"]:
        raise EtlError(f"{where} has {size['lists']:,} lists for {size['users']:,} users: {fix}")


def _lists(output: DataFrame) -> DataFrame:
    """Return USER_ID, ITEM_ID, RANK: the first items of each of a model's lists."""
    return output.filter(F.col("user").isNotNull()).select(
        F.col("user").alias("USER_ID"),
        F.posexplode(F.slice(F.array_distinct("items"), 1, DEPTH)).alias("place", "ITEM_ID"),
    ).select("USER_ID", "ITEM_ID", (F.col("place") + 1).alias("RANK"))  # fmt: skip


def _measured(
    lists: DataFrame, wanted: DataFrame, popular: DataFrame, entry: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the number of lists of a model, and its metrics."""
    hits = lists.join(wanted, ["USER_ID", "ITEM_ID"]).select("USER_ID", "RANK")
    _, metrics = compared(wanted, hits, popular)
    (size,) = lists.agg(
        F.countDistinct("USER_ID").alias("lists"), F.countDistinct("ITEM_ID").alias("items")
    ).collect()
    coverage = {
        "value": size["items"] / entry["catalogue"],
        "popularity": len(entry["popular"]) / entry["catalogue"],
    }
    metrics[COVERAGE] = {name: round(min(1.0, share), 6) for name, share in coverage.items()}
    return {"lists": size["lists"], "metrics": metrics}


def _in_words(measured: Mapping[str, Any], by: str) -> str:
    metric = measured["metrics"][by]
    return (
        f"{by} {metric['value']:.4f} ({metric['low']:.4f} to {metric['high']:.4f}),"
        f" of the most popular items {metric['popularity']:.4f}"
    )
