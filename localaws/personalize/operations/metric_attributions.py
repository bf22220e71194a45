"""Metric attributions: metrics of the events after recommendations, by source and quarter hour.

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
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from localaws.http.errors import ServiceError
from localaws.personalize.backend import Operations, Request, Response, arn_response, check_location
from localaws.personalize.data.s3 import Location
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import invalid
from localaws.personalize.resources.recommendation_ids import source_of
from localaws.personalize.resources.registry import Resource, page_response
from localaws.personalize.resources.types import METRIC_ATTRIBUTION

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

    @classmethod
    def parse(cls, metric: Request) -> _Metric:
        """Read a metric of a request.

        Raises:
            ValueError: If its expression is none.
        """
        match = _EXPRESSION.fullmatch(metric["expression"])
        if match is None:
            raise ValueError(
                f"expression {metric['expression']!r}: write SAMPLECOUNT(), or SUM(Items.COLUMN),"
                " or SUM(Interactions.COLUMN)"
            )
        function, dataset = (match[1] or match[2]).upper(), match[3] and match[3].upper()
        return cls(metric["metricName"], metric["eventType"], function, dataset, match[4])


class _Total(NamedTuple):
    """The value of a metric, for the events of one source in one quarter of an hour."""

    metric: _Metric
    source: str
    window: int  # UTC epoch seconds
    value: float


class MetricAttributions(Operations):
    """Operations on metric attributions, and the metrics that they report."""

    def publication(self, group_arn: str, mode: str) -> Callable[[Table], None]:
        """Return the writer of the report on events that are imported in this mode.

        Raises:
            ServiceError: If the group has no ACTIVE metric attribution with a location on S3.
        """
        active = self._active(group_arn)
        if active is None or "s3DataDestination" not in active.details["metricsOutputConfig"]:
            raise invalid(
                f"publishAttributionMetricsToS3 needs an ACTIVE metric attribution of {group_arn}"
                " with an s3DataDestination; create one first"
            )
        config, arn = active.details["metricsOutputConfig"], active.arn

        def publish(events: Table) -> None:
            metrics = self._registry.get(arn, METRIC_ATTRIBUTION).details["metrics"]
            out = io.StringIO()
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(HEADER)
            for metric, source, window, value in self._totals(group_arn, metrics, events):
                function = metric.function.lower()
                writer.writerow((metric.name, metric.event_type, value, function, source, window))
            time = int(self._backend.clock().timestamp())
            Location.parse(config["s3DataDestination"]["path"]).upload(
                self._backend.s3(config["roleArn"]),
                f"AggregatedAttributionMetrics-{mode}-{time}.csv",
                io.BytesIO(out.getvalue().encode()),
            )

        return publish

    def send(self, group_arn: str, events: Table) -> None:
        """Send the metrics of new events to CloudWatch, if the group has a metric attribution."""
        active = self._active(group_arn)
        if active is None or self._backend.cloudwatch is None:
            return
        config = active.details["metricsOutputConfig"]
        data = [
            {
                "MetricName": total.metric.name,
                "Dimensions": [
                    {"Name": "EventAttributionSource", "Value": total.source},
                    {"Name": "DatasetGroupArn", "Value": group_arn},
                ],
                "Timestamp": datetime.fromtimestamp(total.window, UTC),
                "Value": total.value,
            }
            for total in self._totals(group_arn, active.details["metrics"], events)
        ]
        try:
            for start in range(0, len(data), _DATA_PER_CALL):
                client = self._backend.cloudwatch(config["roleArn"])
                client.put_metric_data(
                    Namespace=NAMESPACE, MetricData=data[start : start + _DATA_PER_CALL]
                )
        except ClientError as error:
            # As on AWS, a program that streams an event does not get this error.
            _log.warning("%s: its metrics are not in CloudWatch: %s", active.arn, error)

    def _active(self, group_arn: str) -> Resource | None:
        """Return the group's ACTIVE metric attribution, if it has one."""
        active = self._registry.find(METRIC_ATTRIBUTION, datasetGroupArn=group_arn, status="ACTIVE")
        return active[0] if active else None

    def _totals(
        self, group_arn: str, metrics: Sequence[Request], events: Table
    ) -> Iterable[_Total]:
        """Yield the metrics of events, by source and time."""
        types = [type_ and type_.lower() for type_ in events.column("EVENT_TYPE")]
        sources = [
            source or source_of(id_, self._registry) or _NO_SOURCE
            for source, id_ in zip(
                events.column("EVENT_ATTRIBUTION_SOURCE"),
                events.column("RECOMMENDATION_ID"),
                strict=True,
            )
        ]
        times = events.column("TIMESTAMP").astype(np.int64)
        windows = (times - times % WINDOW_SECONDS).tolist()
        for metric in map(_Metric.parse, metrics):
            values = self._values(group_arn, metric, events)
            totals: defaultdict[tuple[str, int], float] = defaultdict(float)
            for type_, source, window, value in zip(types, sources, windows, values, strict=True):
                if type_ == metric.event_type.lower() and value is not None:
                    totals[source, window] += float(value)
            for (source, window), total in sorted(totals.items()):
                yield _Total(metric, source, window, total)

    def _values(
        self, group_arn: str, metric: _Metric, events: Table
    ) -> Sequence[Any] | NDArray[Any]:
        """Return the value of each event for a metric, None if it does not count."""
        if metric.column is None:
            return [1.0] * events.n_rows
        if metric.dataset == "INTERACTIONS":
            return events.column(metric.column)
        items = self._backend.groups.tables(group_arn, {"ITEMS"}).get("ITEMS", Table({}))
        value_of = dict(zip(items.column("ITEM_ID"), items.column(metric.column), strict=True))
        return [value_of.get(item) for item in events.column("ITEM_ID")]

    def create_metric_attribution(self, request: Request) -> Response:
        with self._registry.lock:
            self._check(
                request["datasetGroupArn"], request["metrics"], request["metricsOutputConfig"]
            )
            resource = self._registry.create(METRIC_ATTRIBUTION, request["name"], request)
        self._backend.workers.activate(resource.arn)
        return arn_response(resource)

    def update_metric_attribution(self, request: Request) -> Response:
        if "metricAttributionArn" not in request:
            raise invalid("metricAttributionArn is missing; name the metric attribution")
        with self._registry.lock:
            attribution = self._registry.active(request["metricAttributionArn"], METRIC_ATTRIBUTION)
            details = attribution.details
            by_name = {metric["metricName"]: metric for metric in details["metrics"]}
            for name in request.get("removeMetrics", ()):
                if by_name.pop(name, None) is None:
                    raise invalid(f"removeMetrics: {attribution.arn} has no metric {name!r}")
            for metric in request.get("addMetrics", ()):
                if metric["metricName"] in by_name:
                    raise ServiceError(
                        "ResourceAlreadyExistsException",
                        f"{attribution.arn} has a metric {metric['metricName']!r}; remove it"
                        " first.",
                    )
                by_name[metric["metricName"]] = metric
            config = request.get("metricsOutputConfig", details["metricsOutputConfig"])
            metrics = list(by_name.values())
            self._check(details["datasetGroupArn"], metrics, config)
            self._registry.update(attribution.arn, metrics=metrics, metricsOutputConfig=config)
        return arn_response(attribution)

    def list_metric_attribution_metrics(self, request: Request) -> Response:
        arn = request.get("metricAttributionArn")
        known = {
            attribution.arn: attribution for attribution in self._registry.find(METRIC_ATTRIBUTION)
        }
        if arn not in known:
            raise invalid(f"metricAttributionArn: there is no metric attribution {arn}")
        metrics = known[arn].details["metrics"]
        return page_response("metrics", list(enumerate(metrics)), request, scope=f"metrics {arn}")

    def _check(self, group_arn: str, metrics: Sequence[Request], config: Request) -> None:
        """Refuse an output that is none, and metrics that cannot be computed, with all faults."""
        if path := config.get("s3DataDestination", {}).get("path"):
            check_location("metricsOutputConfig.s3DataDestination.path", path)
        faults: list[str] = []
        names = [metric["metricName"] for metric in metrics]
        most = self._registry.quotas.metrics
        if not names:
            faults.append("metrics: name at least one")
        if len(names) > most:
            faults.append(f"metrics: {len(names)}; an attribution has at most {most}")
        faults += [
            f"metricName {name!r} is there twice" for name in {*names} if names.count(name) > 1
        ]
        schemas = self._backend.groups.schemas(group_arn)
        for entry in metrics:
            try:
                metric = _Metric.parse(entry)
            except ValueError as error:
                faults.append(str(error))
                continue
            if metric.dataset is None:
                continue
            columns = schemas[metric.dataset].by_name if metric.dataset in schemas else {}
            column = columns.get(str(metric.column))
            if not columns:
                faults.append(f"{entry['expression']}: {group_arn} has no {metric.dataset} dataset")
            elif column is None:
                faults.append(f"{entry['expression']}: there is no such column")
            elif column.type in {"string", "boolean"}:
                faults.append(f"{entry['expression']}: only a column of numbers has a sum")
        if faults:
            raise invalid("; ".join(faults))
