"""Operations on schemas, dataset groups and datasets, and the jobs that fill and clear them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from localaws.personalize.backend import Answer, Parts, Request, check_location, created, invalid
from localaws.personalize.data.deletions import Deletion
from localaws.personalize.data.exports import Export
from localaws.personalize.data.imports import Import
from localaws.personalize.data.schemas import (
    DATASET_TYPES,
    SchemaError,
    parse_schema,
    replacement_faults,
)
from localaws.personalize.data.tables import Table
from localaws.personalize.operations.metric_attributions import MetricAttributions
from localaws.personalize.resources.jobs import Report
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import (
    DATA_DELETION_JOB,
    DATASET,
    DATASET_EXPORT_JOB,
    DATASET_GROUP,
    DATASET_IMPORT_JOB,
    RECOMMENDER,
    SCHEMA,
    SOLUTION_VERSION,
)

_WITH_USERS = ("USERS", "INTERACTIONS", "ACTION_INTERACTIONS")


_REPLACEABLE = ("USERS", "ITEMS")
"""https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html"""


class Datasets:
    """Operations on schemas, dataset groups and datasets, and on the jobs of datasets.

    Args:
        parts: What all operations share.
        attributions: Told of imported events.
    """

    def __init__(self, parts: Parts, attributions: MetricAttributions) -> None:
        self._parts = parts
        self._registry = parts.registry
        self._attributions = attributions

    def create_schema(self, request: Request) -> Answer:
        try:
            parse_schema(request["schema"], request.get("domain"))
        except SchemaError as error:
            raise invalid(str(error)) from error
        return created(self._registry.create(SCHEMA, request["name"], request))

    def create_dataset_group(self, request: Request) -> Answer:
        group = self._registry.create(DATASET_GROUP, request["name"], request)
        self._parts.workers.activate(group.arn)
        return {**created(group), "domain": request.get("domain")}

    def create_dataset(self, request: Request) -> Answer:
        kind = request["datasetType"].upper()
        if kind not in DATASET_TYPES:
            raise invalid(
                f"datasetType {request['datasetType']!r} is none; use one of"
                f" {', '.join(one.type for one in DATASET_TYPES.values())}"
            )
        with self._registry.lock:
            described = self._parts.schema(request["schemaArn"]).dataset
            if described.type != kind:
                raise invalid(
                    f"schema {request['schemaArn']} describes {described.name}, the dataset is"
                    f" {kind}; name the schema of this type"
                )
            group = self._registry.get(request["datasetGroupArn"], DATASET_GROUP)
            self._check_domain(group, request["schemaArn"])
            more = {}
            if kind == "ACTION_INTERACTIONS":
                digest = hashlib.sha256(f"{group.arn} {self._registry.created}".encode())
                more["trackingId"] = digest.hexdigest()[:32]
            name = f"{group.details['name']}/{kind}"
            dataset = self._registry.create(DATASET, name, request, datasetType=kind, **more)
        self._parts.workers.activate(dataset.arn)
        return created(dataset)

    def _check_domain(self, group: Resource, schema_arn: str) -> None:
        """Refuse a schema of another domain than the group's."""
        schema = self._registry.get(schema_arn, SCHEMA)
        domains = [one.details.get("domain") for one in (group, schema)]
        if domains[0] != domains[1]:
            said = [f"of domain {domain}" if domain else "custom" for domain in domains]
            raise invalid(
                f"{group.arn} is {said[0]} and {schema_arn} is {said[1]}; create the schema with"
                " the domain of the dataset group"
            )

    def update_dataset(self, request: Request) -> Answer:
        """Give a dataset a schema that has all fields of the present one, and more.

        https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
        """
        with self._registry.lock:
            dataset = self._registry.active(request["datasetArn"], DATASET)
            group = self._registry.get(dataset.details["datasetGroupArn"], DATASET_GROUP)
            kind = dataset.details["datasetType"]
            if kind not in _REPLACEABLE:
                raise invalid(
                    f"{dataset.arn}: the schema of {kind} cannot be replaced, only that of"
                    f" {' or '.join(_REPLACEABLE)}"
                )
            self._check_domain(group, request["schemaArn"])
            before = self._parts.schema(dataset.details["schemaArn"])
            after = self._parts.schema(request["schemaArn"])
            if faults := list(replacement_faults(before, after)):
                raise invalid(
                    f"schema {request['schemaArn']} cannot take the place of"
                    f" {dataset.details['schemaArn']}: {'; '.join(faults)}"
                )
            # The data follow at once: a column that is new is null.
            update = self._parts.update_begun(schemaArn=request["schemaArn"])
            update["status"] = "ACTIVE"
            self._registry.update(
                dataset.arn, schemaArn=request["schemaArn"], latestDatasetUpdate=update
            )
        return {"datasetArn": dataset.arn}

    def create_dataset_import_job(self, request: Request) -> Answer:
        source = request["dataSource"].get("dataLocation", "")
        check_location("dataSource.dataLocation", source)
        mode = request.get("importMode", "FULL")
        with self._registry.lock:
            dataset = self._registry.get(request["datasetArn"], DATASET)
            if mode == "INCREMENTAL" and self._parts.store.bulk(dataset.arn) is None:
                raise invalid(
                    f"importMode INCREMENTAL needs an earlier import into {dataset.arn}; use FULL"
                    " first"
                )
            publish = self._publication(dataset, request, mode)
            job = self._registry.create(
                DATASET_IMPORT_JOB, request["jobName"], request, importMode=mode
            )
        is_incremental, quotas = mode == "INCREMENTAL", self._registry.quotas
        work = Import(
            dataset.arn,
            self._parts.schema(dataset.details["schemaArn"]),
            source,
            is_incremental,
            quotas.incremental_interactions if is_incremental else quotas.import_interactions,
            publish,
        )
        self._submit(job, "dataset import", partial(work.run, self._parts.s3_of(request)))
        return created(job)

    def _publication(
        self, dataset: Resource, request: Request, mode: str
    ) -> Callable[[Table], None] | None:
        """What reports on the imported events, if that is asked for or they are further ones."""
        kind, group = dataset.details["datasetType"], dataset.details["datasetGroupArn"]
        reports: list[Callable[[Table], None]] = []
        if request.get("publishAttributionMetricsToS3"):
            if kind != "INTERACTIONS":
                raise invalid(
                    f"publishAttributionMetricsToS3 is for Interactions; leave it out for {kind}"
                )
            reports.append(self._attributions.publication(group, mode))
        if kind == "INTERACTIONS" and mode == "INCREMENTAL":
            reports.append(partial(self._attributions.send, group))

        def publish(events: Table) -> None:
            for report in reports:
                report(events)

        return publish if reports else None

    def create_dataset_export_job(self, request: Request) -> Answer:
        target = request["jobOutput"]["s3DataDestination"]["path"]
        check_location("jobOutput.s3DataDestination.path", target)
        mode = request.get("ingestionMode", "PUT")
        dataset = self._registry.get(request["datasetArn"], DATASET)
        if dataset.details["datasetType"].startswith("ACTION"):
            # https://docs.aws.amazon.com/personalize/latest/dg/export-data.html
            raise invalid(f"{dataset.arn}: actions and action interactions cannot be exported")
        job = self._registry.create(
            DATASET_EXPORT_JOB, request["jobName"], request, ingestionMode=mode
        )
        work = Export(
            dataset.arn,
            self._parts.schema(dataset.details["schemaArn"]),
            mode,
            target,
            f"{request['jobName']}.csv",
            self._parts.directory,
        )
        self._submit(job, "dataset export", partial(work.run, self._parts.s3_of(request)))
        return created(job)

    def create_data_deletion_job(self, request: Request) -> Answer:
        source = request["dataSource"].get("dataLocation", "")
        check_location("dataSource.dataLocation", source)
        group = request["datasetGroupArn"]
        with self._registry.lock:
            job = self._registry.create(DATA_DELETION_JOB, request["jobName"], request)
            arns = [
                dataset.arn
                for dataset in self._registry.find(DATASET, datasetGroupArn=group)
                if dataset.details["datasetType"] in _WITH_USERS
            ]
        work, s3 = Deletion(arns, source), self._parts.s3_of(request)

        def run(report: Report) -> Answer:
            outcome = dict(work.run(s3, self._parts.store, report))
            self._forget(group, set(outcome.pop("users")))
            return outcome

        self._parts.workers.submit(job.arn, "data deletion", run)
        return created(job)

    def _forget(self, group: str, users: set[str]) -> None:
        """Have the models of a group take users for unknown, and leave them out of segments."""
        for kind in (SOLUTION_VERSION, RECOMMENDER):
            for model in self._registry.find(kind, datasetGroupArn=group):
                gone = users.union(model.details.get("deletedUsers", ()))
                self._registry.update(model.arn, deletedUsers=sorted(gone))

    def _submit(self, job: Resource, kind: str, run: Callable[..., Answer]) -> None:
        store = self._parts.store
        self._parts.workers.submit(job.arn, kind, lambda report: run(store, report))
