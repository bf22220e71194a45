"""retraining.toml → `Config`: mistakes, and every derived name, ARN and S3 key.

The stages: read the TOML text, validate it against `workflow.settings`, and return a frozen
`Config` or raise one `ConfigError` that lists the mistakes of all tables, or where these do not fit
each other. Nothing here calls AWS or a database.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError

from etl.datasets import (
    DATASET_TYPES,
    Agreement,
    Backtest,
    DataSet,
    JobSpec,
    LearnedEvents,
    Lookup,
    RecommenderLists,
    Watermark,
)
from workflow.consistency import faults
from workflow.errors import WorkflowError
from workflow.event_types import named_event_types
from workflow.extensions import (
    FunctionSettings,
    IntegrationName,
    WorkflowSettings,
)
from workflow.hyperparameters import HYPERPARAMETERS
from workflow.mistakes import ConfigError, Mistake, mistakes_of
from workflow.names import OWNER_TAG
from workflow.options.backtest import BacktestSettings
from workflow.options.campaigns import CampaignSettings
from workflow.options.delivery import DeliverySettings
from workflow.options.gate import GateSettings
from workflow.options.increments import (
    UPDATABLE_RECIPES,
    IncrementsSettings,
    watermark_column,
)
from workflow.options.models import PERSONALIZE, ModelSettings, PublishSettings
from workflow.options.notification import NotificationSettings
from workflow.options.overlap import RunsSettings
from workflow.options.recommenders import RecommenderSettings
from workflow.options.retention import RetentionSettings
from workflow.personalize import POPULARITY
from workflow.settings import (
    FUNCTIONS,
    ROLES,
    AgreementSettings,
    AwsSettings,
    BatchInferenceSettings,
    DataSetsSettings,
    EtlSettings,
    FilterSettings,
    PollingSettings,
    ReportSettings,
    RoleName,
    Rule,
    ScheduleSettings,
    Settings,
    SolutionSettings,
    SourceSettings,
)
from workflow.spelling import suggestion

_WHOLE_LIST = frozenset({"deliver-recommendations", "filter-recommendations"})


class Config(Settings):
    """A whole retraining.toml, and every name that follows from it."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        max_length=24,
        examples=["labbase"],
        description="prefix of the name of every deployed resource",
    )
    aws: AwsSettings = Field(description="account, region, and names that differ from derived ones")
    source: SourceSettings = Field(description="the database")
    datasets: DataSetsSettings = Field(description="the data sets that Personalize imports")
    batch_inference: BatchInferenceSettings = Field(description="the users to recommend for")
    filter: FilterSettings = Field(FilterSettings(), description="items to leave out of the lists")
    solution: SolutionSettings = Field(SolutionSettings(), description="the solution to train")
    workflow: WorkflowSettings = Field(
        WorkflowSettings(), description="the workflow's own file and permissions"
    )
    functions: dict[str, FunctionSettings] = Field(
        {}, description="your own Lambda functions, by the names that steps call them by"
    )
    polling: PollingSettings = Field(PollingSettings(), description="pauses between polls")
    etl: EtlSettings = Field(EtlSettings(), description="the Spark job")
    agreement: AgreementSettings = Field(
        AgreementSettings(), description="how much data sets, lists and filters must agree"
    )
    runs: RunsSettings = Field(RunsSettings(), description="runs that overlap")
    report: ReportSettings = Field(ReportSettings(), description="the report of a run")
    gate: GateSettings | None = Field(
        None, description="what a new solution version must reach; nothing if left out"
    )
    backtest: BacktestSettings | None = Field(
        None, description="how good the lists published last were; not measured if left out"
    )
    increments: IncrementsSettings | None = Field(
        None, description="only what has changed; each run does everything if left out"
    )
    recommenders: dict[str, RecommenderSettings] = Field(
        {},
        description="further recommenders, each with a list of its own, by their names; the tables"
        " solution, batch_inference, filter and gate are the first one's",
    )
    models: dict[str, ModelSettings] = Field(
        {}, description="models of your own on SageMaker or Spark, by their names"
    )
    publish: PublishSettings = Field(PublishSettings(), description="whose list is published")
    campaigns: dict[str, CampaignSettings] = Field(
        {}, description="campaigns that follow the published list's version, by their names"
    )
    delivery: DeliverySettings | None = Field(
        None, description="a table that the published list goes into; none if left out"
    )
    retention: RetentionSettings | None = Field(
        None, description="what old runs left; only the bucket's own rules delete it if left out"
    )
    notification: NotificationSettings | None = Field(
        None, description="the end of each run; of failures alone if left out"
    )
    schedule: ScheduleSettings | None = Field(
        None, description="start times of the workflow; none if left out"
    )
    import_concurrency: int = Field(3, ge=1, le=5, description="data sets imported at a time")
    recommender_concurrency: int = Field(
        3, ge=1, le=20, description="recommenders that are trained and infer at a time"
    )
    timeout_hours: int = Field(24, ge=1, le=8_760, description="the longest that a run may take")
    alarm_hours: int = Field(12, ge=1, le=8_760, description="a run this long raises an alarm")
    stale_hours: int | None = Field(
        None,
        ge=1,
        le=168,
        examples=[36],
        description="so long without a run that succeeded raises an alarm; none if left out",
    )
    tags: dict[str, str] = Field(
        default_factory=dict,
        examples=[{"team": "search"}],
        description="of every deployed resource that takes tags, and of what the runs create in"
        " Personalize; its dataset group, data sets and filter have the configuration's name alone,"
        " as CloudFormation would replace them for a changed tag",
    )

    def own_faults(self) -> Iterator[Rule]:
        """Yield where tables do not fit each other."""
        yield from faults(self)

    _directory: Path = PrivateAttr(Path())
    _source: str = PrivateAttr("configuration")
    _recommender: str = PrivateAttr("")

    @property
    def recommender(self) -> str:
        """The name of the recommender whose tables these are; empty for the first."""
        return self._recommender

    @property
    def each_recommender(self) -> tuple[Config, ...]:
        """The configuration of each recommender, as if it were the only one; the first comes first.

        In each its tables `solution`, `batch_inference`, `filter` and `gate` are those of
        `[recommenders.NAME]`; there is no back-test. All others are shared.
        """
        return tuple(self._of_recommender(name) for name in ("", *self.recommenders))

    def of_recommender(self, name: str) -> Config:
        """Return the configuration of one recommender, as if it were the only one.

        Raises:
            UnknownRecommenderError: If there is none of this name.
        """
        if name and name not in self.recommenders:
            known = list(self.recommenders)
            others = f"there are {', '.join(known)}" if known else "add [recommenders.NAME]"
            hint = suggestion(name, known, otherwise=others, quote="'")
            raise UnknownRecommenderError(f"there is no recommender '{name}'; {hint}")
        return self._of_recommender(name)

    def _of_recommender(self, name: str) -> Config:
        if not name:
            return self
        of_the_first: dict[str, Any] = {
            "recommenders": {},
            "backtest": None,
            "campaigns": {},
            "delivery": None,
        }
        config = self.model_copy(update={**dict(self.recommenders[name]), **of_the_first})
        config._recommender = name
        return config

    @property
    def folder(self) -> str:
        """Where the recommender's files are below a run's prefix; empty for the first."""
        return f"recommenders/{self.recommender}/" if self.recommender else ""

    @property
    def latest_key(self) -> str:
        """S3 key of the object that names the recommender's published list."""
        return f"recommendations/{f'{self.recommender}/' if self.recommender else ''}latest.json"

    def _own_name(self) -> str:
        return f"{self.name}-{self.recommender}" if self.recommender else self.name

    @property
    def are_related(self) -> bool:
        """Whether the lists are of items that are related to items, not of users."""
        return bool(self.batch_inference.item_id)

    @property
    def source_name(self) -> str:
        """How errors name the file, if it names others."""
        return self._source

    @property
    def definition_file(self) -> Path | None:
        """The Python file that composes the workflow; None for the packaged one."""
        name = self.workflow.definition
        return self._directory / name if name else None

    def source_file(self, function: str) -> Path:
        """Return the Python file of one of the `functions`."""
        return self._directory / self.functions[function].source

    def model_file(self, path: str) -> Path:
        """Return a file or directory that one of the `models` names."""
        return self._directory / path

    @property
    def sagemaker_models(self) -> dict[str, ModelSettings]:
        """Those of `models` that SageMaker trains."""
        return {name: model for name, model in self.models.items() if not model.is_on_spark}

    @property
    def has_personalize(self) -> bool:
        """Whether Personalize is part of the workflow: a model of one's own may take its place."""
        return not self.publish.model

    @property
    def compared(self) -> tuple[str, ...]:
        """The models of which the best one's list is published; none if one is named."""
        return (PERSONALIZE, *self.models) if self.publish.is_best else ()

    @property
    def roles(self) -> tuple[RoleName, ...]:
        """Those of `ROLES` that the workflow needs."""
        needed = {
            "personalize": self.has_personalize,
            "sagemaker": self.sagemaker_models,
            "scheduler": self.schedule,
        }
        return tuple(role for role in ROLES if needed.get(role, True))

    @property
    def partition(self) -> str:
        """The ARN partition of the configured region."""
        return "aws-cn" if self.aws.region.startswith("cn-") else "aws"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return the ARN of `resource` in the configured account."""
        region = self.aws.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.aws.account}:{resource}"

    @property
    def owned_tags(self) -> dict[str, str]:
        """The tags of every resource: the configured ones, and whose it is."""
        return {**self.tags, OWNER_TAG: self.name}

    @property
    def personalize_tags(self) -> list[dict[str, str]]:
        """The same tags as Personalize takes them, for what the runs create there."""
        return [
            {"tagKey": key, "tagValue": value} for key, value in sorted(self.owned_tags.items())
        ]

    @property
    def state_machine(self) -> str:
        """Name of the state machine."""
        return f"{self.name}-retraining"

    @property
    def state_machine_arn(self) -> str:
        """ARN of the state machine."""
        return self.arn("states", f"stateMachine:{self.state_machine}")

    @property
    def bucket(self) -> str:
        """Name of the bucket that every run writes to."""
        name = self.aws.bucket.rpartition(":")[2]
        return name or f"{self.name}-retraining-{self.aws.account}-{self.aws.region}"

    @property
    def is_own_bucket(self) -> bool:
        """Whether the bucket is created and kept in order; else it is somebody else's."""
        return not self.aws.bucket.startswith("arn:")

    def role_arn(self, role: RoleName) -> str:
        """Return the ARN of one of `ROLES`; a configured name or ARN goes first."""
        name = self.aws.roles.get(role, f"{self.name}-retraining-{role}")
        return name if name.startswith("arn:") else self.arn("iam", f"role/{name}", regional=False)

    @property
    def function_names(self) -> tuple[str, ...]:
        """The functions that are deployed: the packaged ones, and those of `functions`."""
        by_function = self.delivery is not None and self.delivery.to == "dynamodb"
        optional = {
            "deliver-recommendations": by_function,
            "judge-solution-version": any(each.gate for each in self.each_recommender),
            "plan-increment": self.increments,
            "clean-up": self.retention,
            "send-notification": self.notification,
            "record-campaigns": self.campaigns,
            "update-campaign": self.campaigns,
        }
        packaged = (name for name in FUNCTIONS if optional.get(name, True))
        return (*packaged, *self.functions)

    def function(self, function: str) -> str:
        """Return the deployed name of one of `function_names`."""
        names: Mapping[Any, str] = self.aws.functions
        return names.get(function, f"{self.name}-{function}")

    def function_seconds(self, function: str) -> int:
        """Return a function's time limit: the longest of those that read the whole list."""
        if function in self.functions:
            return self.functions[function].timeout
        return 900 if function in _WHOLE_LIST else 60

    def function_megabytes(self, function: str) -> int:
        """Return a function's memory, which is its share of a processor too."""
        if function in self.functions:
            return self.functions[function].memory
        return 1_024 if function in _WHOLE_LIST else 256

    def function_log(self, function: str) -> str:
        """Return the name of a function's log group."""
        return f"/aws/lambda/{self.function(function)}"

    @property
    def state_machine_log(self) -> str:
        """Name of the state machine's log group."""
        # A policy of CloudWatch Logs covers this prefix once for all; each other name adds to it
        # until it is full. https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
        return f"/aws/vendedlogs/states/{self.state_machine}"

    @property
    def dead_letters(self) -> str:
        """Name of the schedule's dead-letter queue, of runs that it could not start."""
        return f"{self.state_machine}-dead-letters"

    @property
    def ends_rule(self) -> str:
        """Name of the rule on ends of runs that the state machine does not report by itself."""
        return f"{self.state_machine}-ends"

    @property
    def glue_job(self) -> str:
        """Name of the Glue job."""
        return self.aws.glue_job or f"{self.name}-retraining-etl"

    @property
    def topic_arn(self) -> str:
        """ARN of the topic to which failed runs are reported."""
        topic = self.aws.topic or f"{self.name}-retraining-failures"
        return topic if topic.startswith("arn:") else self.arn("sns", topic)

    @property
    def glue_job_arn(self) -> str:
        """ARN of the Glue job."""
        return self.arn("glue", f"job/{self.glue_job}")

    @property
    def dataset_group(self) -> str:
        """Name of the Personalize dataset group."""
        return self.aws.dataset_group or self.name

    @property
    def dataset_group_arn(self) -> str:
        """ARN of the Personalize dataset group."""
        return self.arn("personalize", f"dataset-group/{self.dataset_group}")

    @property
    def solution_name(self) -> str:
        """Name of the Personalize solution."""
        return self.solution.name or self._own_name()

    def campaign_arn(self, name: str) -> str:
        """Return the ARN of one of the `campaigns`."""
        return self.arn("personalize", f"campaign/{name}")

    def schema_name(self, data_set: DataSet) -> str:
        """Return the name of a data set's Personalize schema.

        Personalize cannot change a schema: the name ends with a digest of the content.
        """
        digest = hashlib.sha256(data_set.avro_json().encode()).hexdigest()[:8]
        return f"{self.name}-{data_set.type.lower()}-{digest}"

    def dataset_arn(self, data_set: DataSet) -> str:
        """Return the ARN of a Personalize dataset."""
        return self.arn("personalize", f"dataset/{self.dataset_group}/{data_set.type}")

    def clean_up_request(self) -> dict[str, Any]:
        """Return what `lambdas.retention` reads the stock by, but for the run.

        Raises:
            ValueError: If there is no table `[retention]`.
        """
        if self.retention is None:
            raise ValueError("the configuration has no table [retention]")
        keeps_solutions = self.retention.former_solutions == "keep"
        return {
            "bucket": self.bucket,
            "stateMachineArn": self.state_machine_arn,
            "datasetGroupArn": self.dataset_group_arn,
            "keep": self.retention.runs,
            "tag": {"tagKey": OWNER_TAG, "tagValue": self.name},
            "solutionNames": None
            if keeps_solutions
            else [each.solution_name for each in self.each_recommender],
        }

    @property
    def personalize_filter_arn(self) -> str | None:
        """ARN of the filter of batch inference, None without one."""
        if not self.batch_inference.personalize_filter:
            return None
        return self.arn("personalize", f"filter/{self._own_name()}-batch")

    @property
    def recipe_arn(self) -> str | None:
        """ARN of the recipe, None where AutoML chooses it."""
        if self.solution.auto_ml:
            return None
        return f"arn:{self.partition}:personalize:::recipe/{self.solution.recipe}"

    @property
    def solution_config(self) -> dict[str, Any]:
        """`solutionConfig` as CreateSolution takes it."""
        solution = self.solution
        config: dict[str, Any] = {}
        known = HYPERPARAMETERS[solution.recipe]
        for name, value in solution.hyperparameters.items():
            is_feature = known[name].is_feature
            part = "featureTransformationParameters" if is_feature else "algorithmHyperParameters"
            text = str(value).lower() if isinstance(value, bool) else str(value)
            config.setdefault(part, {})[name] = text
        if solution.event_value_threshold is not None:
            config["eventValueThreshold"] = str(solution.event_value_threshold)
        return config

    @property
    def data_set_digests(self) -> dict[str, str]:
        """Dataset type → a digest of its source, its columns and its watermark."""
        watermark = f"-{self.watermark.column}" if self.watermark else ""
        return {
            data_set.type: data_set.digest + watermark * (data_set.type == "INTERACTIONS")
            for data_set in self.data_sets
        }

    @property
    def is_updatable(self) -> bool:
        """Whether trainings between full ones may be of mode UPDATE."""
        solution = self.solution
        return (
            self.increments is not None
            and self.increments.training == "update"
            and not solution.auto_ml
            and solution.recipe in UPDATABLE_RECIPES
        )

    @property
    def publication_digest(self) -> str:
        """A digest of the settings by which lists are made of a solution version."""
        inference, filtering = self.batch_inference, self.filter
        content = [
            inference.num_results,
            inference.personalize_filter,
            inference.exploration,
            filtering.keep,
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def spec_key(self) -> str:
        """S3 key of the Spark job's specification, which ends with a digest of its content.

        Executions that run keep the definition, and so the specification, with which they began.
        """
        return f"artifacts/etl-job-{self.job_spec().digest}.json"

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """The configured data sets: users, items, interactions."""
        tables = (getattr(self.datasets, dataset_type.lower()) for dataset_type in DATASET_TYPES)
        return tuple(settings.data_set() for settings in tables if settings)

    @property
    def watermark(self) -> Watermark | None:
        """How far the interactions have been read; None if each run reads all of them."""
        if self.increments is None:
            return None
        column = watermark_column(self.increments, self.datasets.interactions)
        return Watermark(column, self.increments.overlap_hours * 3_600)

    def job_spec(self) -> JobSpec:
        """Return the specification of the Spark job."""
        first, *further = (each.lists() for each in self.each_recommender)
        return JobSpec(
            engine=self.source.engine,
            datasets=self.data_sets,
            batch_input=first.batch_input,
            eligible_items=first.eligible_items,
            exclusions=first.exclusions,
            partitions=self.etl.partitions,
            fetch_size=self.etl.fetch_size,
            output_files=self.etl.output_files,
            max_rejected_share=self.etl.max_rejected_share,
            agreement=Agreement(**self.agreement.model_dump(exclude={"different_lists"})),
            event_types=dict(named_event_types(self)),
            backtest=Backtest(tuple(self.backtest.event_types)) if self.backtest else None,
            baseline=first.baseline,
            watermark=self.watermark,
            delivery=self.delivery.delivery(are_related=self.are_related)
            if self.delivery
            else None,
            recommenders=dict(zip(self.recommenders, further, strict=True)),
            holdout=self._learned_events if self.compared else None,
        )

    def lists(self) -> RecommenderLists:
        """Return what the Spark job writes for the recommender."""
        eligible, excluded = self.filter.eligible_items, self.filter.exclusions

        def in_folder(lookup: Lookup) -> Lookup:
            return replace(lookup, prefix=self.folder + lookup.prefix)

        return RecommenderLists(
            batch_input=in_folder(self.batch_inference.lookup()),
            eligible_items=in_folder(eligible.lookup()) if eligible else None,
            exclusions=in_folder(excluded.lookup()) if excluded else None,
            baseline=self._learned_events if self.gate and self.gate.needs_popularity else None,
        )

    @property
    def _learned_events(self) -> LearnedEvents:
        """The interactions that the recommender's solution learns from."""
        return LearnedEvents(self.solution.event_type, self.solution.event_value_threshold)

    @property
    def least_different_lists(self) -> float:
        """Least share of the recommender's lists that are not like the one before."""
        gives_all_the_same = self.solution.recipe == POPULARITY
        return 0.0 if gives_all_the_same else self.agreement.different_lists


class UnknownRecommenderError(WorkflowError, ValueError):
    """A name of no recommender; the text lists those that exist."""


def with_integration(config: Config, integration: IntegrationName) -> Config:
    """Return a configuration with another `workflow.integration`.

    Raises:
        ConfigError: If it does not go together with the other tables.
    """
    workflow = config.workflow.model_copy(update={"integration": integration})
    changed = config.model_copy(update={"workflow": workflow})
    if broken := list(faults(changed)):
        source = f"{config.source_name} with integration = {integration}"
        raise ConfigError(
            source, [Mistake(".".join(path), "", rule, fix) for path, rule, fix in broken]
        )
    return changed


_MOST_LEVELS, _MOST_KEYS = 20, 5_000
_TOO_DEEP = Mistake(
    "TOML",
    "",
    f"tables and arrays of more than {_MOST_LEVELS} levels",
    "no key has so many; see docs/configuration.md",
)


def load_config(path: str | Path) -> Config:
    """Read a retraining.toml.

    Raises:
        ConfigError: If the file cannot be read, is no TOML, or breaks rules; it lists all of them.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8-sig")  # Windows editors put a BOM before it
    except FileNotFoundError:
        files = sorted(file.name for file in source.parent.glob("*.toml"))
        others = f"name one that exists: {', '.join(files)}" if files else ""
        fix = others or "'retrain init' proposes one from a database"
        raise ConfigError(
            str(path), [Mistake("file", str(path), "there is no such file", fix)]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path), [Mistake("file", str(path), str(error), "save it as a UTF-8 text file")]
        ) from None
    return parse_config(text, source=str(path), directory=source.parent)


def _check_extent(raw: dict[str, Any], source: str) -> None:
    """Refuse what no configuration needs, and what would take minutes to report on.

    Raises:
        ConfigError: If there are too many keys or levels, or an integer that TOML does not have.
    """
    level: list[tuple[str, Any]] = [("", raw)]
    keys = 0
    for _ in range(_MOST_LEVELS):
        following: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, dict):
                keys += len(value)
                following += [(f"{path}.{key}".lstrip("."), each) for key, each in value.items()]
            elif isinstance(value, list):
                following += [(f"{path}[{number}]", each) for number, each in enumerate(value)]
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                mistake = Mistake(path, "", "no 64-bit integer", "write a smaller number")
                raise ConfigError(source, [mistake])
        level = following
        if keys > _MOST_KEYS:
            rule = f"more than {_MOST_KEYS:,} keys"
            raise ConfigError(source, [Mistake("TOML", "", rule, "describe fewer things")])
    if level:
        raise ConfigError(source, [_TOO_DEEP])


def parse_config(text: str, *, source: str = "configuration", directory: Path = Path()) -> Config:
    """Read a configuration from TOML text.

    Args:
        text: The TOML text.
        source: How errors name it, for example the file's path.
        directory: To which the files that it names are relative.

    Raises:
        ConfigError: If the text is no TOML, or breaks rules; it lists all of them.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fix = "mend the syntax there; strings stand in double quotes"
        raise ConfigError(source, [Mistake("TOML", "", str(error), fix)]) from None
    except RecursionError:
        raise ConfigError(source, [_TOO_DEEP]) from None
    except ValueError as error:  # of a number with thousands of digits
        mistake = Mistake("TOML", "", f"no 64-bit integer: {error}", "write a smaller number")
        raise ConfigError(source, [mistake]) from None
    _check_extent(raw, source)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(source, mistakes_of(error, raw, Config)) from None
    if (
        config.workflow.definition or config.functions or config.models
    ):  # of others the directory says nothing
        config._directory, config._source = directory, source
    return config
