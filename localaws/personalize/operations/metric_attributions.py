"""Metric attributions: what recommendations lead to, summed up by source and quarter of an hour.

https://docs.aws.amazon.com/personalize/latest/dg/measuring-recommendation-impact.html
A report is written to S3 for each import job that asks for it; events that are streamed or imported
incrementally are sent to CloudWatch, at once and not after the quarter of an hour.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Answer, Parts, Request, check_location, created, invalid
from localaws.personalize.data.s3 import Location
from localaws.personalize.data.schemas import Schema
from localaws.personalize.data.tables import Table
from localaws.personalize.resources.jobs import JobFailedError
from localaws.personalize.resources.recommendation_ids import source_of
from localaws.personalize.resources.registry import Resource, paged
from localaws.personalize.resources.resource_types import DATASET, METRIC_ATTRIBUTION

WINDOW_SECONDS = 15 * 60
HEADER = (
    "METRIC_NAME",
    "EVENT_TYPE",
    "VALUE",
    "MATH_FUNCTION",
    "EVENT_ATTRIBUTION_SOURCE",
    "TIMESTAMP",
)
"""https://docs.aws.amazon.com/personalize/latest/dg/metric-attribution-results-s3.html"""

NAMESPACE = "AWS/Personalize"
_DATA_PER_CALL = 1_000
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html"""

_NO_SOURCE = "SOURCE_NAME_UNDEFINED"
"""https://docs.aws.amazon.com/personalize/latest/dg/event-metrics.html"""

_log = logging.getLogger(__name__)
_EXPRESSION = re.compile(
    r"\s*(?:(SAMPLECOUNT)\s*\(\s*\)|(SUM)\s*\(\s*(INTERACTIONS|ITEMS)\.(\w+)\s*\))\s*",
    re.IGNORECASE,
)


class _Metric(NamedTuple):
    """One metric: a count of events, or a sum of a column of Interactions or Items."""

    name: str
    event_type: str
    function: str
    dataset: str | None
    column: str | None


class _Total(NamedTuple):
    """What the events of one source in one quarter of an hour, UTC epoch seconds, add up to."""

    metric: _Metric
    source: str
    window: int
    value: float


class MetricAttributions:
    """Operations on metric attributions, and the metrics that they report.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry

    def publication(self, group: str, mode: str) -> Callable[[Table], None]:
        """What writes the report on imported events.

        Args:
            group: The dataset group's ARN.
            mode: The import's mode; a part of the file's name.

        Raises:
            ServiceError: If the group has no ACTIVE metric attribution with a place on S3.
        """
        active = self._active(group)
        if active is None or "s3DataDestination" not in active.details["metricsOutputConfig"]:
            raise invalid(
                f"publishAttributionMetricsToS3 needs an ACTIVE metric attribution of {group} with"
                " an s3DataDestination; create one first"
            )
        config, arn = active.details["metricsOutputConfig"], active.arn

        def publish(events: Table) -> None:
            metrics = self._registry.get(arn, METRIC_ATTRIBUTION).details["metrics"]
            client = self._parts.s3(config["roleArn"])
            folder = Location.parse(config["s3DataDestination"]["path"])
            at = int(self._parts.clock().timestamp())
            key = folder.inside(f"AggregatedAttributionMetrics-{mode}-{at}.csv")
            body = self._report(group, metrics, events)
            try:
                client.put_object(Bucket=folder.bucket, Key=key, Body=body)
            except ClientError as error:
                raise JobFailedError("Invalid S3 output path") from error

        return publish

    def send(self, group: str, events: Table) -> None:
        """Send what new events add up to to CloudWatch, if the group has a metric attribution.

        Args:
            group: The dataset group's ARN.
            events: Those that came.
        """
        active = self._active(group)
        if active is None or self._parts.cloudwatch is None:
            return
        config = active.details["metricsOutputConfig"]
        data = [
            {
                "MetricName": total.metric.name,
                "Dimensions": [
                    {"Name": "EventAttributionSource", "Value": total.source},
                    {"Name": "DatasetGroupArn", "Value": group},
                ],
                "Timestamp": datetime.fromtimestamp(total.window, UTC),
                "Value": total.value,
            }
            for total in self._totals(group, active.details["metrics"], events)
        ]
        try:
            for start in range(0, len(data), _DATA_PER_CALL):
                client = self._parts.cloudwatch(config["roleArn"])
                client.put_metric_data(
                    Namespace=NAMESPACE, MetricData=data[start : start + _DATA_PER_CALL]
                )
        except ClientError as error:
            # As on AWS, whoever streams an event does not hear of it.
            _log.warning("%s: its metrics are not in CloudWatch: %s", active.arn, error)

    def _active(self, group: str) -> Resource | None:
        """The group's ACTIVE metric attribution, if it has one."""
        found = self._registry.find(METRIC_ATTRIBUTION, datasetGroupArn=group, status="ACTIVE")
        return found[0] if found else None

    def _report(self, group: str, metrics: Sequence[Request], events: Table) -> bytes:
        """The report's bytes."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(HEADER)
        for metric, source, window, value in self._totals(group, metrics, events):
            function = metric.function.lower()
            writer.writerow((metric.name, metric.event_type, value, function, source, window))
        return out.getvalue().encode()

    def _totals(self, group: str, metrics: Sequence[Request], events: Table) -> Iterable[_Total]:
        """The metrics of events, by source and time."""
        items = self._table(group, "ITEMS")
        rows = (
            {
                name: dict(zip(items.column("ITEM_ID"), values, strict=True))
                for name, values in items.columns.items()
            }
            if items
            else {}
        )
        for given in metrics:
            metric = _parsed(given)
            totals: defaultdict[tuple[str, int], float] = defaultdict(float)
            for source, time, value in self._values(metric, events, rows):
                totals[source, time - time % WINDOW_SECONDS] += value
            for (source, window), total in sorted(totals.items()):
                yield _Total(metric, source, window, total)

    def _values(
        self, metric: _Metric, events: Table, items: Mapping[str, Mapping[Any, Any]]
    ) -> Iterable[tuple[str, int, float]]:
        """Source, time and value of each event that counts."""
        columns = [
            events.column(name)
            for name in (
                "EVENT_TYPE",
                "EVENT_ATTRIBUTION_SOURCE",
                "RECOMMENDATION_ID",
                "TIMESTAMP",
                "ITEM_ID",
            )
        ]
        is_own = metric.column is not None and metric.dataset == "INTERACTIONS"
        own = events.column(str(metric.column)) if is_own else None
        for row, (kind, given, recommendation, time, item) in enumerate(zip(*columns, strict=True)):
            if kind is None or kind.lower() != metric.event_type.lower():
                continue
            source = given or source_of(recommendation, self._registry) or _NO_SOURCE
            value: Any = 1.0
            if own is not None:
                value = own[row]
            elif metric.column is not None:
                value = items.get(metric.column, {}).get(item)
            if value is not None:
                yield source, int(time), float(value)

    def create_metric_attribution(self, request: Request) -> Answer:
        config = request["metricsOutputConfig"]
        self._check_output(config)
        with self._registry.lock:
            self._check(request["datasetGroupArn"], request["metrics"])
            resource = self._registry.create(METRIC_ATTRIBUTION, request["name"], request)
        self._parts.workers.activate(resource.arn)
        return created(resource)

    def update_metric_attribution(self, request: Request) -> Answer:
        if "metricAttributionArn" not in request:
            raise invalid("metricAttributionArn is missing; name the metric attribution")
        with self._registry.lock:
            found = self._registry.active(request["metricAttributionArn"], METRIC_ATTRIBUTION)
            there = {one["metricName"]: one for one in found.details["metrics"]}
            for name in request.get("removeMetrics", ()):
                if there.pop(name, None) is None:
                    raise invalid(f"removeMetrics: {found.arn} has no metric {name!r}")
            for metric in request.get("addMetrics", ()):
                if metric["metricName"] in there:
                    raise ServiceError(
                        "ResourceAlreadyExistsException",
                        f"{found.arn} has a metric {metric['metricName']!r}; remove it first.",
                    )
                there[metric["metricName"]] = metric
            config = request.get("metricsOutputConfig", found.details["metricsOutputConfig"])
            self._check_output(config)
            metrics = list(there.values())
            self._check(found.details["datasetGroupArn"], metrics)
            self._registry.update(found.arn, metrics=metrics, metricsOutputConfig=config)
        return created(found)

    def list_metric_attribution_metrics(self, request: Request) -> Answer:
        arn = request.get("metricAttributionArn")
        known = [one.arn for one in self._registry.find(METRIC_ATTRIBUTION)]
        if arn not in known:
            raise invalid(f"metricAttributionArn: there is no metric attribution {arn}")
        metrics = self._registry.get(arn).details["metrics"]
        return paged("metrics", list(enumerate(metrics)), request, scope=f"metrics {arn}")

    @staticmethod
    def _check_output(config: Request) -> None:
        if path := config.get("s3DataDestination", {}).get("path"):
            check_location("metricsOutputConfig.s3DataDestination.path", path)

    def _check(self, group: str, metrics: Sequence[Request]) -> None:
        """Refuse metrics that cannot be computed, with all faults."""
        faults: list[str] = []
        names = [metric["metricName"] for metric in metrics]
        if not names:
            faults.append("metrics: name at least one")
        if len(names) > self._registry.quotas.metrics:
            most = self._registry.quotas.metrics
            faults.append(f"metrics: {len(names)}; an attribution has at most {most}")
        faults += [
            f"metricName {name!r} is there twice" for name in {*names} if names.count(name) > 1
        ]
        for given in metrics:
            try:
                metric = _parsed(given)
            except ValueError as fault:
                faults.append(str(fault))
                continue
            schema = self._schema(group, metric.dataset) if metric.dataset else None
            if metric.dataset and schema is None:
                faults.append(f"{given['expression']}: {group} has no {metric.dataset} dataset")
            elif schema and metric.column not in schema.by_name:
                faults.append(f"{given['expression']}: there is no such column")
            elif schema and schema.by_name[str(metric.column)].type in {"string", "boolean"}:
                faults.append(f"{given['expression']}: only a column of numbers has a sum")
        if faults:
            raise invalid("; ".join(faults))

    def _schema(self, group: str, kind: str) -> Schema | None:
        for dataset in self._registry.find(DATASET, datasetGroupArn=group, datasetType=kind):
            return self._parts.schema(dataset.details["schemaArn"])
        return None

    def _table(self, group: str, kind: str) -> Table | None:
        for dataset in self._registry.find(DATASET, datasetGroupArn=group, datasetType=kind):
            return self._parts.store.get(dataset.arn)
        return None


def _parsed(metric: Request) -> _Metric:
    """The metric of a request.

    Raises:
        ValueError: If its expression is none.
    """
    found = _EXPRESSION.fullmatch(metric["expression"])
    if found is None:
        raise ValueError(
            f"expression {metric['expression']!r}: write SAMPLECOUNT(), or SUM(Items.COLUMN), or"
            " SUM(Interactions.COLUMN)"
        )
    function = (found[1] or found[2]).upper()
    dataset = found[3].upper() if found[3] else None
    return _Metric(metric["metricName"], metric["eventType"], function, dataset, found[4])
