"""The local Amazon Personalize: its operations, wired to the registry, the workers and the data.

A request is answered at once, work goes to background threads: a job's resource is created, the
job is handed over, and its outcome appears in the resource's status, as on AWS.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localaws.personalize import registry as kinds
from localaws.personalize.batch import Batch
from localaws.personalize.filters import Filters
from localaws.personalize.imports import Import, Store
from localaws.personalize.jobs import JobProgress, Report, Workers
from localaws.personalize.objects import S3, Location, S3Client
from localaws.personalize.recipes import RECIPES, described, find_recipe, recipe_arn, summarised
from localaws.personalize.registry import KINDS, PENDING, Kind, Registry, Resource
from localaws.personalize.schemas import (
    DATASET_TYPES,
    SchemaError,
    parse_schema,
    replacement_faults,
)
from localaws.personalize.solutions import search, solution_recipes
from localaws.personalize.training import OBJECTIVE, Training
from localaws.protocol import JsonService, Operation, ServiceError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Request = dict[str, Any]
_MOST_RESULTS = 500


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Personalize:
    """An Amazon Personalize that trains on this machine, as a WSGI application.

    Args:
        account: Account number of all ARNs, 12 digits.
        region: Region of all ARNs.
        s3: The ARN of a job's role → the S3 client with which the job reads and writes; called
            once per job, on the job's thread.
        directory: Trained models and unfinished output go here.
        seed: Same data and same seed give the same recommendations.
        clock: The time, aware.
        max_workers: How many jobs run at a time.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        s3: Callable[[str], S3Client],
        directory: Path,
        seed: int = 0,
        clock: Callable[[], datetime] = _utc_now,
        max_workers: int = 2,
    ) -> None:
        self._s3 = s3
        self._directory = directory
        self._seed = seed
        self._clock = clock
        secret = hashlib.sha256(f"{account} {region} {seed}".encode()).digest()
        self._registry = Registry(account=account, region=region, clock=clock, secret=secret)
        self._workers = Workers(self._registry, max_workers)
        self._store = Store()
        self._filters = Filters(self._registry, self._store)
        self._metrics: dict[str, Mapping[str, float]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._service = JsonService("personalize", self._operations())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._service(environ, start_response)

    def progress(self) -> list[JobProgress]:
        """The jobs that run now and how far each is."""
        return self._workers.progress()

    def close(self) -> None:
        """Stop running jobs and join the threads; the models on disk stay."""
        self._workers.close()

    def _operations(self) -> dict[str, Operation]:
        operations: dict[str, Operation] = {
            "CreateSchema": self._create_schema,
            "CreateDatasetGroup": self._create_dataset_group,
            "CreateDataset": self._create_dataset,
            "UpdateDataset": self._update_dataset,
            "CreateDatasetImportJob": self._create_dataset_import_job,
            "CreateSolution": self._create_solution,
            "CreateSolutionVersion": self._create_solution_version,
            "StopSolutionVersionCreation": self._stop_solution_version_creation,
            "GetSolutionMetrics": self._get_solution_metrics,
            "CreateBatchInferenceJob": self._create_batch_inference_job,
            "CreateFilter": self._create_filter,
            "DescribeSolution": self._describe_solution,
            "ListRecipes": self._list_recipes,
            "DescribeRecipe": self._describe_recipe,
            "TagResource": lambda r: self._registry.tag(r["resourceArn"], r["tags"]),
            "UntagResource": lambda r: self._registry.untag(r["resourceArn"], r["tagKeys"]),
            "ListTagsForResource": self._list_tags,
        }
        for kind in KINDS.values():
            describe = partial(self._describe, kind)
            operations.setdefault(f"Describe{kind.name}", describe)
            operations[f"List{kind.name}s"] = partial(self._registry.page, kind)
        deletable = (kinds.SCHEMA, kinds.DATASET_GROUP, kinds.DATASET, kinds.SOLUTION, kinds.FILTER)
        for kind in deletable:
            operations[f"Delete{kind.name}"] = partial(self._delete, kind)
        return operations

    def _describe(self, kind: Kind, request: Request) -> Mapping[str, Any]:
        return self._registry.describe(kind, request[kind.arn_member])

    def _delete(self, kind: Kind, request: Request) -> None:
        for resource in self._registry.delete(kind, request[kind.arn_member]):
            self._store.drop(resource.arn)
            self._metrics.pop(resource.arn, None)
            shutil.rmtree(self._model_directory(resource.arn), ignore_errors=True)

    def _create_schema(self, request: Request) -> Mapping[str, Any]:
        _refuse(request, "domain")
        try:
            parse_schema(request["schema"])
        except SchemaError as error:
            raise _invalid(str(error)) from error
        return _created(self._registry.create(kinds.SCHEMA, request["name"], request))

    def _create_dataset_group(self, request: Request) -> Mapping[str, Any]:
        _refuse(request, "domain")
        group = self._registry.create(kinds.DATASET_GROUP, request["name"], request)
        self._workers.activate(group.arn)
        return _created(group)

    def _create_dataset(self, request: Request) -> Mapping[str, Any]:
        kind = request["datasetType"].upper()
        if kind not in DATASET_TYPES:
            legal = ", ".join(one.name for one in DATASET_TYPES.values())
            raise _invalid(
                f"datasetType {request['datasetType']!r} is not supported here; use one of {legal}"
            )
        schema = self._registry.get(request["schemaArn"], kinds.SCHEMA)
        described_type = parse_schema(schema.details["schema"]).dataset.name
        if described_type.upper() != kind:
            raise _invalid(
                f"schema {schema.arn} describes {described_type}, the dataset is {kind}; "
                "name the schema of this type"
            )
        group = self._registry.get(request["datasetGroupArn"], kinds.DATASET_GROUP)
        dataset = self._registry.create(
            kinds.DATASET, f"{group.details['name']}/{kind}", request, datasetType=kind
        )
        self._workers.activate(dataset.arn)
        return _created(dataset)

    def _update_dataset(self, request: Request) -> Mapping[str, Any]:
        """Give a dataset a schema that has all fields of the present one, and more.

        https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
        """
        with self._registry.lock:
            dataset = self._registry.active(request["datasetArn"], kinds.DATASET)
            texts = [
                self._registry.get(arn, kinds.SCHEMA).details["schema"]
                for arn in (dataset.details["schemaArn"], request["schemaArn"])
            ]
            before, after = map(parse_schema, texts)
            if faults := list(replacement_faults(before, after)):
                raise _invalid(
                    f"schema {request['schemaArn']} cannot take the place of"
                    f" {dataset.details['schemaArn']}: {'; '.join(faults)}"
                )
            now = self._clock()
            times = {"creationDateTime": now, "lastUpdatedDateTime": now}
            update = {"schemaArn": request["schemaArn"], "status": "ACTIVE", **times}
            self._registry.update(
                dataset.arn, schemaArn=request["schemaArn"], latestDatasetUpdate=update
            )
        return {"datasetArn": dataset.arn}

    def _create_dataset_import_job(self, request: Request) -> Mapping[str, Any]:
        source = request["dataSource"].get("dataLocation", "")
        _check_location("dataSource.dataLocation", source)
        _refuse(request, "publishAttributionMetricsToS3")
        mode = request.get("importMode", "FULL")
        dataset = self._registry.get(request["datasetArn"], kinds.DATASET)
        if mode == "INCREMENTAL" and self._store.get(dataset.arn) is None:
            raise _invalid(
                f"importMode INCREMENTAL needs an earlier import into {dataset.arn}; use FULL first"
            )
        schema = self._registry.get(dataset.details["schemaArn"]).details["schema"]
        job = self._registry.create(
            kinds.DATASET_IMPORT_JOB, request["jobName"], request, importMode=mode
        )
        work = Import(dataset.arn, parse_schema(schema), source, mode == "INCREMENTAL")
        s3 = self._s3_of(request)
        self._workers.submit(
            job.arn, "dataset import", lambda report: work.run(s3, self._store, report)
        )
        return _created(job)

    def _create_solution(self, request: Request) -> Mapping[str, Any]:
        _refuse(request, "performIncrementalUpdate")
        try:
            solution_recipes(request)
        except ValueError as error:
            raise _invalid(str(error)) from error
        defaults = {"performAutoML": False, "performHPO": False, "performAutoTraining": True}
        solution = self._registry.create(kinds.SOLUTION, request["name"], {**defaults, **request})
        self._workers.activate(solution.arn)
        return _created(solution)

    def _describe_solution(self, request: Request) -> Mapping[str, Any]:
        """The solution with its latest version's summary."""
        arn = request["solutionArn"]
        answer = self._registry.describe(kinds.SOLUTION, arn)
        if versions := self._registry.find(kinds.SOLUTION_VERSION, solutionArn=arn):
            answer["solution"]["latestSolutionVersion"] = self._registry.summary(versions[-1])
        return answer

    def _create_solution_version(self, request: Request) -> Mapping[str, Any]:
        mode = request.get("trainingMode", "FULL")
        if mode != "FULL":
            raise _invalid(
                f"trainingMode {mode} is not supported by this local Personalize; use FULL"
            )
        with self._registry.lock:
            solution = self._registry.active(request["solutionArn"], kinds.SOLUTION)
            self._check_version_name(solution, request.get("name"))
            training = self._training(solution.details)
            copied = ("performHPO", "performAutoML", "recipeArn", "eventType", "datasetGroupArn")
            number = hashlib.sha256(f"{solution.arn} {self._registry.created}".encode()).hexdigest()
            version = self._registry.create(
                kinds.SOLUTION_VERSION,
                f"{solution.details['name']}/{number[:8]}",
                request,
                trainingMode=mode,
                trainingType="MANUAL",
                **{name: solution.details[name] for name in copied if name in solution.details},
                solutionConfig=solution.details.get("solutionConfig", {}),
            )
        work = partial(self._train, version.arn, solution.arn, training)
        self._workers.submit(version.arn, "training", work)
        return _created(version)

    def _check_version_name(self, solution: Resource, name: str | None) -> None:
        taken = self._registry.find(kinds.SOLUTION_VERSION, solutionArn=solution.arn, name=name)
        if name is not None and taken:
            raise ServiceError(
                "ResourceAlreadyExistsException",
                f"Another solution version of {solution.arn} has the name {name}: {taken[0].arn}.",
            )

    def _training(self, solution: Mapping[str, Any]) -> Callable[[Path], Training]:
        """The training that a solution asks for, on the data as they are now."""
        group = solution["datasetGroupArn"]
        datasets = {
            dataset.details["datasetType"]: dataset.arn
            for dataset in self._registry.find(kinds.DATASET, datasetGroupArn=group)
        }
        arn = datasets.get("INTERACTIONS")
        events = self._store.get(arn) if arn else None
        if events is None:
            imports = self._registry.find(kinds.DATASET_IMPORT_JOB, datasetArn=arn) if arn else []
            if any(job.status in PENDING for job in imports):
                raise ServiceError(
                    "ResourceInUseException",
                    f"The import into {arn} is not ACTIVE yet; wait for it.",
                )
            raise _invalid(f"{group} has no Interactions data; import some first")
        config = solution.get("solutionConfig", {})
        threshold = config.get("eventValueThreshold")
        for member, column in (("eventType", "EVENT_TYPE"), ("eventValueThreshold", "EVENT_VALUE")):
            asked = solution.get("eventType") if member == "eventType" else threshold
            if asked is not None and column not in events.columns:
                raise _invalid(f"{member} needs a column {column} in {arn}")
        items = self._store.get(datasets["ITEMS"]) if "ITEMS" in datasets else None
        return partial(
            Training,
            events=events,
            catalogue=items.columns["ITEM_ID"].tolist() if items else [],
            recipes=solution_recipes(solution),
            parameters=config.get("algorithmHyperParameters", {}),
            event_type=solution.get("eventType"),
            event_value=None if threshold is None else float(threshold),
            search=search(solution),
            objective=config.get("autoMLConfig", {}).get("metricName", OBJECTIVE),
            seed=self._seed,
        )

    def _train(
        self, arn: str, solution_arn: str, training: Callable[..., Training], report: Report
    ) -> Mapping[str, Any]:
        """Train a version; what it gives its resource."""
        begun = self._clock()
        outcome = training(directory=self._model_directory(arn)).run(report)
        self._metrics[arn] = outcome.metrics
        hours = (self._clock() - begun).total_seconds() / 3600
        members: dict[str, Any] = {"trainingHours": max(round(hours, 4), 0.0001)}
        if outcome.tuned:
            members["tunedHPOParams"] = {"algorithmHyperParameters": dict(outcome.tuned)}
        if self._registry.get(solution_arn).details["performAutoML"]:
            best = recipe_arn(outcome.recipe, self._registry.partition)
            self._registry.update(solution_arn, autoMLResult={"bestRecipeArn": best})
            members["recipeArn"] = best
        return members

    def _stop_solution_version_creation(self, request: Request) -> None:
        version = self._registry.get(request["solutionVersionArn"], kinds.SOLUTION_VERSION)
        if version.status not in PENDING:
            raise ServiceError(
                "ResourceInUseException",
                f"{version.arn} is {version.status}; only a version in creation can be stopped.",
            )
        self._workers.stop(version.arn)

    def _get_solution_metrics(self, request: Request) -> Mapping[str, Any]:
        version = self._registry.active(request["solutionVersionArn"], kinds.SOLUTION_VERSION)
        return {"solutionVersionArn": version.arn, "metrics": self._metrics[version.arn]}

    def _create_batch_inference_job(self, request: Request) -> Mapping[str, Any]:
        _refuse(request, "themeGenerationConfig")
        if request.get("batchInferenceJobMode", "BATCH_INFERENCE") != "BATCH_INFERENCE":
            raise _invalid("batchInferenceJobMode THEME_GENERATION is not supported here")
        n_results = request.get("numResults", 25)
        if not 1 <= n_results <= _MOST_RESULTS:
            raise _invalid(f"numResults must be in [1, {_MOST_RESULTS}], not {n_results}")
        source = request["jobInput"]["s3DataSource"]["path"]
        target = request["jobOutput"]["s3DataDestination"]["path"]
        _check_location("jobInput.s3DataSource.path", source)
        _check_location("jobOutput.s3DataDestination.path", target)
        version = self._registry.get(request["solutionVersionArn"], kinds.SOLUTION_VERSION)
        with self._registry.lock:
            filtered = None
            if "filterArn" in request:
                group = version.details["datasetGroupArn"]
                filtered = self._filters.for_items(request["filterArn"], group)
            job = self._registry.create(
                kinds.BATCH_INFERENCE_JOB,
                request["jobName"],
                request,
                numResults=n_results,
                batchInferenceJobMode="BATCH_INFERENCE",
            )
        model = self._model_directory(version.arn)
        work = Batch(model, source, target, n_results, self._directory, filtered)
        self._workers.submit(job.arn, "batch inference", partial(work.run, self._s3_of(request)))
        return _created(job)

    def _create_filter(self, request: Request) -> Mapping[str, Any]:
        created = self._filters.create(request)
        self._workers.activate(created.arn)
        return _created(created)

    def _s3_of(self, request: Request) -> S3:
        """How the job of a request gets its S3 client, under the role that it was given."""
        return partial(self._s3, request.get("roleArn", ""))

    def _list_recipes(self, request: Request) -> Mapping[str, Any]:
        domain, provider = request.get("domain"), request.get("recipeProvider")
        entries = [
            (number, summarised(recipe, self._registry.partition))
            for number, recipe in enumerate(RECIPES.values())
            if domain in {None, recipe.domain}
        ]
        scope = f"recipes {domain} {provider}"
        return self._registry.paged("recipes", entries, request, scope=scope)

    def _describe_recipe(self, request: Request) -> Mapping[str, Any]:
        try:
            recipe = find_recipe(request["recipeArn"])
        except LookupError as error:
            raise ServiceError("ResourceNotFoundException", str(error)) from error
        return {"recipe": described(recipe, self._registry.partition)}

    def _list_tags(self, request: Request) -> Mapping[str, Any]:
        tags = self._registry.get(request["resourceArn"]).tags
        return {"tags": [{"tagKey": key, "tagValue": value} for key, value in tags.items()]}

    def _model_directory(self, arn: str) -> Path:
        """Where the version of this ARN keeps its model; the ARN itself is no file name."""
        return self._directory / "models" / hashlib.sha256(arn.encode()).hexdigest()[:16]


def _created(resource: Resource) -> dict[str, Any]:
    """The answer of a create operation."""
    return {resource.kind.arn_member: resource.arn}


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidInputException", message)


def _refuse(request: Request, *names: str) -> None:
    """Refuse members that would change the result and are not built."""
    if given := [name for name in names if request.get(name)]:
        raise _invalid(f"{', '.join(given)}: not supported by this local Personalize; leave it out")


def _check_location(member: str, url: str) -> None:
    try:
        Location.parse(url)
    except ValueError as error:
        raise _invalid(f"{member}: {error}") from error
