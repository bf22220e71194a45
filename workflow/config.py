"""retraining.toml → `Config`: every mistake at once, and every derived name, ARN and S3 key.

The stages: read the TOML text, validate it against `workflow.settings`, and return a frozen
`Config` or raise one `ConfigError` that lists every mistake. Nothing here calls AWS or a database.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from etl.datasets import DATASET_TYPES, DataSet, JobSpec
from workflow.mistakes import ConfigError, Mistake, mistakes_of
from workflow.settings import (
    AwsSettings,
    BatchInferenceSettings,
    DataSetsSettings,
    EtlSettings,
    FilterSettings,
    FunctionName,
    PollingSettings,
    RoleName,
    ScheduleSettings,
    Settings,
    SolutionSettings,
    SourceSettings,
)

OWNER_TAG = "retraining:name"
"""The tag by which a deployment knows its own resources; its value is the configuration's name."""


class Config(Settings):
    """A whole retraining.toml, and every name that follows from it."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        max_length=24,
        examples=["labbase"],
        description="begins the name of everything that is deployed",
    )
    aws: AwsSettings = Field(description="where on AWS, and names that differ from derived ones")
    source: SourceSettings = Field(description="the database")
    datasets: DataSetsSettings = Field(description="what Personalize imports")
    batch_inference: BatchInferenceSettings = Field(description="whom to recommend for")
    filter: FilterSettings = Field(FilterSettings(), description="what is left out of the lists")
    solution: SolutionSettings = Field(SolutionSettings(), description="what is trained")
    polling: PollingSettings = Field(PollingSettings(), description="how often jobs are polled")
    etl: EtlSettings = Field(EtlSettings(), description="the Spark job")
    schedule: ScheduleSettings | None = Field(
        None, description="when it runs by itself; never if left out"
    )
    import_concurrency: int = Field(3, ge=1, le=5, description="data sets imported at a time")
    timeout_hours: int = Field(24, ge=1, le=8_760, description="the longest that a run may take")
    alarm_hours: int = Field(12, ge=1, le=8_760, description="a run this long raises an alarm")
    tags: dict[str, str] = Field(
        default_factory=dict, examples=[{"team": "search"}], description="of everything deployed"
    )

    @property
    def partition(self) -> str:
        """The ARN partition of the configured region."""
        prefixes = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        matches = (p for prefix, p in prefixes.items() if self.aws.region.startswith(f"{prefix}-"))
        return next(matches, "aws")

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return the ARN of `resource` in the configured account."""
        region = self.aws.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.aws.account}:{resource}"

    @property
    def owned_tags(self) -> dict[str, str]:
        """The tags of every resource: the configured ones, and whose it is."""
        return {**self.tags, OWNER_TAG: self.name}

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
        return self.aws.bucket or f"{self.name}-retraining-{self.aws.account}-{self.aws.region}"

    def role_arn(self, role: RoleName) -> str:
        """Return the ARN of one of `ROLES`; a configured name or ARN goes first."""
        name = self.aws.roles.get(role, f"{self.name}-retraining-{role}")
        return name if name.startswith("arn:") else self.arn("iam", f"role/{name}", regional=False)

    def function(self, function: FunctionName) -> str:
        """Return the deployed name of one of `FUNCTIONS`."""
        return self.aws.functions.get(function, f"{self.name}-{function}")

    def function_log(self, function: FunctionName) -> str:
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
        return self.solution.name or self.name

    def schema_name(self, data_set: DataSet) -> str:
        """Return the name of a data set's Personalize schema.

        Personalize cannot change a schema: the name ends with a digest of the content.
        """
        digest = hashlib.sha256(data_set.avro_json().encode()).hexdigest()[:8]
        return f"{self.name}-{data_set.type.lower()}-{digest}"

    def dataset_arn(self, data_set: DataSet) -> str:
        """Return the ARN of a Personalize dataset."""
        return self.arn("personalize", f"dataset/{self.dataset_group}/{data_set.type}")

    @property
    def personalize_filter_arn(self) -> str | None:
        """ARN of the filter of batch inference, None without one."""
        if not self.batch_inference.personalize_filter:
            return None
        return self.arn("personalize", f"filter/{self.name}-batch")

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
        if solution.hyperparameters:
            config["algorithmHyperParameters"] = {
                name: str(value).lower() if isinstance(value, bool) else str(value)
                for name, value in solution.hyperparameters.items()
            }
        if solution.event_value_threshold is not None:
            config["eventValueThreshold"] = str(solution.event_value_threshold)
        return config

    @property
    def spec_key(self) -> str:
        """S3 key of the Spark job's specification."""
        return "artifacts/etl-job.json"

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """The configured data sets: users, items, interactions."""
        tables = (getattr(self.datasets, dataset_type.lower()) for dataset_type in DATASET_TYPES)
        return tuple(settings.data_set() for settings in tables if settings)

    def job_spec(self) -> JobSpec:
        """Return the specification of the Spark job."""
        eligible, excluded = self.filter.eligible_items, self.filter.exclusions
        return JobSpec(
            engine=self.source.engine,
            datasets=self.data_sets,
            batch_input=self.batch_inference.lookup(),
            eligible_items=eligible.lookup() if eligible else None,
            exclusions=excluded.lookup() if excluded else None,
            partitions=self.etl.partitions,
            fetch_size=self.etl.fetch_size,
            output_files=self.etl.output_files,
            max_rejected_share=self.etl.max_rejected_share,
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
        fix = f"name one that exists: {', '.join(files)}" if files else "copy the project's example"
        raise ConfigError(
            str(path), [Mistake("file", str(path), "there is no such file", fix)]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path), [Mistake("file", str(path), str(error), "save it as a UTF-8 text file")]
        ) from None
    return parse_config(text, source=str(path))


def parse_config(text: str, *, source: str = "configuration") -> Config:
    """Read a configuration from TOML text.

    Args:
        text: The TOML text.
        source: How errors name it, for example the file's path.

    Raises:
        ConfigError: If the text is no TOML, or breaks rules; it lists all of them.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fix = "mend the syntax there; strings stand in double quotes"
        raise ConfigError(source, [Mistake("TOML", "", str(error), fix)]) from None
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(source, mistakes_of(error, raw, Config)) from None
