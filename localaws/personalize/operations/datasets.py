"""Operations on schemas, dataset groups and datasets, and the jobs that fill and clear them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.backend import (
    Backend,
    Operations,
    Request,
    Response,
    arn_response,
    check_location,
)
from localaws.personalize.data.dataset_types import DATASET_TYPES
from localaws.personalize.data.schemas import (
    Schema,
    SchemaError,
    data_faults,
    parse_schema,
    replacement_faults,
)
from localaws.personalize.data.tables import Table
from localaws.personalize.data.transfer import read_rows, read_user_ids, write_rows
from localaws.personalize.errors import JobFailedError, invalid
from localaws.personalize.operations.metric_attributions import MetricAttributions
from localaws.personalize.resources.jobs import Report
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.types import (
    DATA_DELETION_JOB,
    DATASET,
    DATASET_EXPORT_JOB,
    DATASET_GROUP,
    DATASET_IMPORT_JOB,
    RECOMMENDER,
    SCHEMA,
    SOLUTION_VERSION,
)

_TYPES_WITH_USERS = ("USERS", "INTERACTIONS", "ACTION_INTERACTIONS")
_REPLACEABLE = ("USERS", "ITEMS")
"""https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html"""


class Datasets(Operations):
    """Operations on schemas, dataset groups and datasets, and on the jobs of datasets.

    Args:
        attributions: Reports the metrics of imported events.
    """

    def __init__(self, backend: Backend, attributions: MetricAttributions) -> None:
        super().__init__(backend)
        self._attributions = attributions

    def create_schema(self, request: Request) -> Response:
        try:
            parse_schema(request["schema"], request.get("domain"))
        except SchemaError as error:
            raise invalid(str(error)) from error
        return arn_response(self._registry.create(SCHEMA, request["name"], request))

    def create_dataset_group(self, request: Request) -> Response:
        group = self._registry.create(DATASET_GROUP, request["name"], request)
        self._backend.workers.activate(group.arn)
        return {**arn_response(group), "domain": request.get("domain")}

    def create_dataset(self, request: Request) -> Response:
        type_ = request["datasetType"].upper()
        if type_ not in DATASET_TYPES:
            raise invalid(
                f"datasetType {request['datasetType']!r} is none; use one of"
                f" {', '.join(DATASET_TYPES)}"
            )
        with self._registry.lock:
            described = self._backend.groups.schema(request["schemaArn"]).dataset
            if described.type != type_:
                raise invalid(
                    f"schema {request['schemaArn']} describes {described.name}, the dataset is"
                    f" {type_}; name the schema of this type"
                )
            group = self._registry.get(request["datasetGroupArn"], DATASET_GROUP)
            self._check_domain(group, request["schemaArn"])
            details = {"datasetType": type_}
            if type_ == "ACTION_INTERACTIONS":
                details["trackingId"] = self._registry.new_id(group.arn)[:32]
            name = f"{group.details['name']}/{type_}"
            dataset = self._registry.create(DATASET, name, request, **details)
        self._backend.workers.activate(dataset.arn)
        return arn_response(dataset)

    def _check_domain(self, group: Resource, schema_arn: str) -> None:
        """Refuse a schema of another domain than the group's."""
        schema = self._registry.get(schema_arn, SCHEMA)
        domains = [resource.details.get("domain") for resource in (group, schema)]
        if domains[0] != domains[1]:
            texts = [f"of domain {domain}" if domain else "custom" for domain in domains]
            raise invalid(
                f"{group.arn} is {texts[0]} and {schema_arn} is {texts[1]}; create the schema with"
                " the domain of the dataset group"
            )

    def update_dataset(self, request: Request) -> Response:
        """Give a dataset a schema that has all fields of the present one, and more.

        https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
        """
        with self._registry.lock:
            dataset = self._registry.active(request["datasetArn"], DATASET)
            group = self._registry.get(dataset.details["datasetGroupArn"], DATASET_GROUP)
            type_ = dataset.details["datasetType"]
            if type_ not in _REPLACEABLE:
                raise invalid(
                    f"{dataset.arn}: the schema of {type_} cannot be replaced, only that of"
                    f" {' or '.join(_REPLACEABLE)}"
                )
            self._check_domain(group, request["schemaArn"])
            before = self._backend.groups.schema(dataset.details["schemaArn"])
            after = self._backend.groups.schema(request["schemaArn"])
            if faults := list(replacement_faults(before, after)):
                raise invalid(
                    f"schema {request['schemaArn']} cannot replace"
                    f" {dataset.details['schemaArn']}: {'; '.join(faults)}"
                )
            # The rows have the new columns at once: they are null.
            schema = {"schemaArn": request["schemaArn"]}
            update = {**schema, "status": "ACTIVE"}
            self._registry.begin_update(dataset.arn, "latestDatasetUpdate", update, **schema)
        return {"datasetArn": dataset.arn}

    def create_dataset_import_job(self, request: Request) -> Response:
        url = request["dataSource"].get("dataLocation", "")
        check_location("dataSource.dataLocation", url)
        mode = request.get("importMode", "FULL")
        store = self._backend.store
        with self._registry.lock:
            dataset = self._registry.get(request["datasetArn"], DATASET)
            if mode == "INCREMENTAL" and store.bulk(dataset.arn) is None:
                raise invalid(
                    f"importMode INCREMENTAL needs an earlier import into {dataset.arn}; use FULL"
                    " first"
                )
            reports = self._reports(dataset, request, mode)
            job = self._registry.create(
                DATASET_IMPORT_JOB, request["jobName"], request, importMode=mode
            )
        quotas, schema = self._registry.quotas, self._schema(dataset)
        replace, least = store.replace, quotas.import_interactions
        if mode == "INCREMENTAL":
            replace, least = store.upsert, quotas.incremental_interactions

        def work(report: Report) -> Response:
            s3 = self._backend.s3(request.get("roleArn", ""))
            table = read_rows(s3, url, schema, report)
            if schema.dataset.type == "INTERACTIONS" and table.n_rows < least:
                raise JobFailedError(
                    f"Dataset has fewer than {least} interactions: {table.n_rows} in {url}."
                )
            events = [table.column("EVENT_TYPE")]
            if mode == "INCREMENTAL" and (before := store.bulk(dataset.arn)) is not None:
                events.append(before.column("EVENT_TYPE"))
            types = {type_ for column in events for type_ in column.tolist()} - {None}
            if faults := list(data_faults(schema, types)):
                raise JobFailedError("; ".join(faults))
            replace(dataset.arn, table, schema.dataset.key)
            for report_metrics in reports:
                report_metrics(table)
            return {}

        self._backend.workers.submit(job, "dataset import", work)
        return arn_response(job)

    def _reports(
        self, dataset: Resource, request: Request, mode: str
    ) -> list[Callable[[Table], None]]:
        """Return the reporter of metrics of imported events, to S3 and to CloudWatch."""
        type_, group_arn = dataset.details["datasetType"], dataset.details["datasetGroupArn"]
        reports: list[Callable[[Table], None]] = []
        if request.get("publishAttributionMetricsToS3"):
            if type_ != "INTERACTIONS":
                raise invalid(
                    f"publishAttributionMetricsToS3 is for Interactions; leave it out for {type_}"
                )
            reports.append(self._attributions.publication(group_arn, mode))
        if type_ == "INTERACTIONS" and mode == "INCREMENTAL":
            reports.append(partial(self._attributions.send, group_arn))
        return reports

    def create_dataset_export_job(self, request: Request) -> Response:
        url = request["jobOutput"]["s3DataDestination"]["path"]
        check_location("jobOutput.s3DataDestination.path", url)
        mode = request.get("ingestionMode", "PUT")
        dataset = self._registry.get(request["datasetArn"], DATASET)
        if dataset.details["datasetType"].startswith("ACTION"):
            # https://docs.aws.amazon.com/personalize/latest/dg/export-data.html
            raise invalid(f"{dataset.arn}: actions and action interactions cannot be exported")
        job = self._registry.create(
            DATASET_EXPORT_JOB, request["jobName"], request, ingestionMode=mode
        )
        store, schema = self._backend.store, self._schema(dataset)
        rows = {"BULK": store.bulk, "PUT": store.streamed, "ALL": store.get}[mode]

        def work(report: Report) -> Response:
            table = (rows(dataset.arn) or Table({})).without_copies()
            report(0.5)
            s3, name = self._backend.s3(request["roleArn"]), f"{request['jobName']}.csv"
            write_rows(s3, url, name, table, schema, self._backend.directory)
            return {}

        self._backend.workers.submit(job, "dataset export", work)
        return arn_response(job)

    def create_data_deletion_job(self, request: Request) -> Response:
        url = request["dataSource"].get("dataLocation", "")
        check_location("dataSource.dataLocation", url)
        group_arn = request["datasetGroupArn"]
        with self._registry.lock:
            job = self._registry.create(DATA_DELETION_JOB, request["jobName"], request)
            arns = [
                dataset.arn
                for dataset in self._registry.find(DATASET, datasetGroupArn=group_arn)
                if dataset.details["datasetType"] in _TYPES_WITH_USERS
            ]

        def work(report: Report) -> Response:
            users = read_user_ids(self._backend.s3(request["roleArn"]), url)

            def is_kept(table: Table) -> NDArray[np.bool_]:
                return ~np.array([user in users for user in table.column("USER_ID")], np.bool_)

            deleted = 0
            for number, arn in enumerate(arns, start=1):
                deleted += self._backend.store.keep(arn, is_kept)
                report(number / len(arns))
            self._forget(group_arn, users)
            return {"numDeleted": deleted}

        self._backend.workers.submit(job, "data deletion", work)
        return arn_response(job)

    def _schema(self, dataset: Resource) -> Schema:
        return self._backend.groups.schema(dataset.details["schemaArn"])

    def _forget(self, group_arn: str, users: frozenset[str]) -> None:
        """Have the models of a group take users for unknown, and leave them out of segments."""
        for type_ in (SOLUTION_VERSION, RECOMMENDER):
            for model in self._registry.find(type_, datasetGroupArn=group_arn):
                deleted = users.union(model.details.get("deletedUsers", ()))
                self._registry.update(model.arn, deletedUsers=sorted(deleted))
