"""retraining.toml → `Config`: every mistake at once, and every derived name, ARN and S3 key.

The stages: read the TOML text, validate it against the models below (types, ranges, unknown keys,
Personalize's rules for data sets), and answer a frozen `Config` or one `ConfigError` that lists
every mistake with its key path, value, rule and fix. Nothing here talks to AWS or to a database.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from etl.datasets import (
    DATASET_TYPES,
    REQUIRED_COLUMNS,
    RESERVED_COLUMNS,
    Column,
    ColumnType,
    DataSet,
    DatasetType,
    Engine,
    JobSpec,
    Join,
    Lookup,
    Relation,
)

FunctionName = Literal[
    "list-datasets",
    "create-import-job",
    "create-solution-version",
    "create-batch-inference-job",
    "get-status",
    "filter-recommendations",
]
RoleName = Literal["states", "functions", "glue", "personalize"]
FUNCTIONS: tuple[FunctionName, ...] = get_args(FunctionName)
ROLES: tuple[RoleName, ...] = get_args(RoleName)

# Reserved columns that Personalize declares without null.
_NEVER_NULL = {"TIMESTAMP", "CREATION_TIMESTAMP", "EVENT_TYPE", "USER_ID", "ITEM_ID"}
_SECRETS_BELONG_ELSEWHERE = (
    "take it out of the file; pass --database-url or set DATABASE_URL for local runs,"
    " on AWS the Glue connection holds it"
)
_KNOWN_STRANGERS = dict.fromkeys(
    ("url", "database_url", "password", "user", "host"), _SECRETS_BELONG_ELSEWHERE
)


@dataclass(frozen=True)
class Mistake:
    """One mistake in the configuration: where, what stands there, the rule and the fix."""

    key: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        found = f" = {self.value}" if self.value else ""
        return f"{self.key}{found}\n    {self.rule}\n    fix: {self.fix}"


class ConfigError(ValueError):
    """The configuration cannot be used; `mistakes` holds every reason."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  {mistake}" for mistake in mistakes))


_Rule = tuple[tuple[str, ...], str, str]  # key path below the model, rule, fix


class _BrokenRulesError(ValueError):
    """Carries several broken rules out of one pydantic validator."""

    def __init__(self, broken: Sequence[_Rule]) -> None:
        self.broken = tuple(broken)
        super().__init__("; ".join(rule for _, rule, _ in broken))


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Checked = TypeVar("_Checked", bound=_Model)


def _unless_broken(model: _Checked, broken: Sequence[_Rule]) -> _Checked:
    if broken:
        raise _BrokenRulesError(broken)
    return model


class RelationSettings(_Model):
    """Rows of the database: a table, joined tables and a filter."""

    table: str = Field(min_length=1, examples=["students"], description="table, or schema.table")
    alias: str = Field("", description="how expressions name it; its own name unless told")
    rename: dict[str, str] = Field({}, description="old column name = new one, before the joins")
    joins: list[JoinSettings] = Field([], description="further tables, joined in this order")
    filter: str = Field("", examples=["students.status = 'active'"], description="Spark SQL")
    partition_column: str = Field("", description="numeric column for parallel reads")

    def relation(self) -> Relation:
        """Return the rows as the Spark job knows them."""
        return Relation(
            table=self.table,
            alias=self.alias,
            rename=self.rename,
            joins=tuple(Join(**join.model_dump()) for join in self.joins),
            filter=self.filter,
            partition_column=self.partition_column,
        )


class JoinSettings(_Model):
    """A table joined by equality."""

    table: str = Field(min_length=1, examples=["departments"])
    how: Literal["inner", "left"] = Field(
        description="inner drops rows without a partner, left keeps them", examples=["left"]
    )
    on: dict[str, str] = Field(
        min_length=1,
        examples=[{"department_id": "id"}],
        description="column of what stands before = column of this table",
    )
    alias: str = ""
    rename: dict[str, str] = {}


class ColumnSettings(_Model):
    """A column: a Spark SQL expression, or a table with more to say about it."""

    source: str = Field(min_length=1, examples=["students.grade"], description="Spark SQL")
    type: ColumnType | None = Field(None, examples=["string"])
    required: bool | None = Field(None, description="leave rows without a value out")
    categorical: bool = False
    textual: bool = False

    def column(self, name: str, reserved: Mapping[str, ColumnType]) -> Column:
        """Return the column `name`, with Personalize's type where it reserves the name."""
        return Column(
            name=name,
            source=self.source,
            type=self.type or reserved.get(name, "string"),
            required=name in _NEVER_NULL if self.required is None else self.required,
            categorical=self.categorical,
            textual=self.textual,
        )


def _expression_or_table(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


class DataSetSettings(RelationSettings):
    """A Personalize data set: rows, and the columns made of them."""

    columns: dict[str, Annotated[ColumnSettings, BeforeValidator(_expression_or_table)]] = Field(
        examples=[{"USER_ID": "students.id"}]
    )

    kind: ClassVar[DatasetType]

    def data_set(self) -> DataSet:
        """Return the description from which projection, schema, header and checks follow."""
        reserved = {**REQUIRED_COLUMNS[self.kind], **RESERVED_COLUMNS[self.kind]}
        return DataSet(
            self.kind,
            self.relation(),
            tuple(settings.column(name, reserved) for name, settings in self.columns.items()),
        )

    @model_validator(mode="after")
    def _personalize_accepts(self) -> Self:
        return _unless_broken(self, list(_broken_rules(self.data_set())))


def _broken_rules(data_set: DataSet) -> Iterator[_Rule]:
    required = REQUIRED_COLUMNS[data_set.type]
    for problem in data_set.problems():
        absent = [name for name in required if name in problem.rule and not problem.column]
        near = difflib.get_close_matches(absent[0], data_set.header) if absent else []
        fix = f"did you mean it by {near[0]}? {problem.fix}" if near else problem.fix
        yield ("columns", *filter(None, [problem.column])), problem.rule, fix


class UsersData(DataSetSettings):
    """Who is recommended to."""

    kind = "USERS"


class ItemsData(DataSetSettings):
    """What is recommended."""

    kind = "ITEMS"


class InteractionsData(DataSetSettings):
    """What users did with items, and when."""

    kind = "INTERACTIONS"


class DataSetsSettings(_Model):
    """The data sets that Personalize imports."""

    interactions: InteractionsData
    users: UsersData | None = None
    items: ItemsData | None = None


class BatchInferenceSettings(RelationSettings):
    """Whom to recommend for, and how much to ask Personalize for."""

    user_id: str = Field(min_length=1, examples=["students.id"], description="Spark SQL")

    num_results: int = Field(
        100, ge=1, le=500, description="asked for per user; the filter keeps fewer"
    )
    exploration_weight: float | None = Field(None, ge=0, le=1)
    exploration_item_age_cut_off: float | None = Field(None, gt=0, description="days")

    def lookup(self) -> Lookup:
        """Return the users as the Spark job knows them."""
        return Lookup("batch-input/", self.relation(), {"USER_ID": self.user_id})

    @property
    def exploration(self) -> dict[str, str]:
        """Item exploration as CreateBatchInferenceJob takes it: names to numbers as text."""
        asked = {
            "explorationWeight": self.exploration_weight,
            "explorationItemAgeCutOff": self.exploration_item_age_cut_off,
        }
        return {name: str(value) for name, value in asked.items() if value is not None}


class EligibleItemsSettings(RelationSettings):
    """The items that may be recommended now."""

    item_id: str = Field(min_length=1, examples=["job_postings.id"], description="Spark SQL")

    def lookup(self) -> Lookup:
        """Return the items as the Spark job knows them."""
        return Lookup("filter/eligible-items/", self.relation(), {"ITEM_ID": self.item_id})


class ExclusionsSettings(RelationSettings):
    """Pairs of user and item that are never recommended."""

    user_id: str = Field(min_length=1, examples=["events.student_id"], description="Spark SQL")
    item_id: str = Field(min_length=1, examples=["events.job_posting_id"], description="Spark SQL")

    def lookup(self) -> Lookup:
        """Return the pairs as the Spark job knows them."""
        columns = {"USER_ID": self.user_id, "ITEM_ID": self.item_id}
        return Lookup("filter/exclusions/", self.relation(), columns)


class FilterSettings(_Model):
    """What is done to the recommended items before they are published."""

    keep: int = Field(25, ge=1, le=500, description="recommendations per user in the final CSV")
    eligible_items: EligibleItemsSettings | None = None
    exclusions: ExclusionsSettings | None = None


class SolutionSettings(_Model):
    """What Personalize trains."""

    name: str = Field("", max_length=63, pattern=r"^([a-zA-Z0-9][a-zA-Z0-9\-_]*)?$")
    recipe: str = Field(
        "aws-user-personalization",
        pattern=r"^aws-[a-z0-9-]+$",
        examples=["aws-user-personalization"],
    )
    auto_ml: bool = Field(False, description="let Personalize choose the recipe")
    hpo: bool = Field(False, description="let Personalize search the hyperparameters")
    hyperparameters: dict[str, str | int | float | bool] = {}
    event_type: str = Field("", max_length=256, description="train on these events alone")
    event_value_threshold: float | None = None

    @model_validator(mode="after")
    def _one_chooser(self) -> Self:
        broken = []
        if self.auto_ml and "recipe" in self.model_fields_set:
            broken.append(
                (
                    ("recipe",),
                    "with auto_ml = true Personalize chooses the recipe itself",
                    "leave the recipe out, or write auto_ml = false",
                )
            )
        if self.auto_ml and self.hyperparameters:
            broken.append(
                (
                    ("hyperparameters",),
                    "hyperparameters belong to one recipe; auto_ml = true chooses among several",
                    "leave them out, or write auto_ml = false and name the recipe",
                )
            )
        return _unless_broken(self, broken)


class PollingSettings(_Model):
    """How often a running job is asked for its status: soon at first, then less often."""

    min_seconds: int = Field(15, ge=1, le=3_600)
    max_seconds: int = Field(300, ge=1, le=86_400)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_seconds <= self.max_seconds:
            return self
        rule = f"min_seconds {self.min_seconds} is above max_seconds {self.max_seconds}"
        return _unless_broken(self, [(("min_seconds",), rule, "exchange the two")])


class EtlSettings(_Model):
    """The Spark job."""

    worker_type: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = "G.1X"
    workers: int = Field(2, ge=2, le=299)
    timeout_minutes: int = Field(120, ge=1, le=2_880)
    partitions: int = Field(4, ge=1, le=256, description="parallel reads of one table")
    fetch_size: int = Field(10_000, ge=1, description="rows per JDBC round trip")
    output_files: int = Field(1, ge=1, le=1_000, description="CSV files per data set")
    max_rejected_share: float = Field(
        0.01, ge=0, le=1, description="share of rows that may break a rule before the job fails"
    )


class SourceSettings(_Model):
    """The database."""

    engine: Engine = Field(examples=["postgresql"])
    connection: str = Field(min_length=1, max_length=255, examples=["labbase-rds"])


class ScheduleSettings(_Model):
    """When the workflow runs by itself."""

    expression: str = Field(
        pattern=r"^(cron|rate|at)\(.+\)$", examples=["cron(0 4 * * ? *)", "rate(1 days)"]
    )
    timezone: str = "UTC"
    enabled: bool = True


class AwsSettings(_Model):
    """Where on AWS, and names that differ from the derived ones."""

    account: str = Field(pattern=r"^\d{12}$", examples=["123456789012"])
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", examples=["ap-northeast-1"])
    bucket: str = Field("", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    roles: dict[RoleName, str] = {}
    functions: dict[FunctionName, str] = {}
    glue_job: str = ""
    dataset_group: str = Field("", max_length=63, pattern=r"^([a-zA-Z0-9][a-zA-Z0-9\-_]*)?$")
    topic: str = Field("", description="SNS topic that hears of failed runs")


class Config(_Model):
    """A whole retraining.toml, and every name that follows from it."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=24, examples=["labbase"], description="of all"
    )
    aws: AwsSettings
    source: SourceSettings
    datasets: DataSetsSettings
    batch_inference: BatchInferenceSettings
    filter: FilterSettings = FilterSettings()
    solution: SolutionSettings = SolutionSettings()
    polling: PollingSettings = PollingSettings()
    etl: EtlSettings = EtlSettings()
    schedule: ScheduleSettings | None = None
    import_concurrency: int = Field(3, ge=1, le=5, description="data sets imported at a time")
    timeout_hours: int = Field(24, ge=1, le=8_760, description="for one whole run")
    tags: dict[str, str] = {}

    @property
    def partition(self) -> str:
        """The ARN partition of the configured region."""
        prefixes = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        found = (p for prefix, p in prefixes.items() if self.aws.region.startswith(f"{prefix}-"))
        return next(found, "aws")

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return the ARN of `resource` in the configured account."""
        region = self.aws.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.aws.account}:{resource}"

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

    @property
    def glue_job(self) -> str:
        """Name of the Glue job."""
        return self.aws.glue_job or f"{self.name}-retraining-etl"

    @property
    def topic_arn(self) -> str:
        """ARN of the topic that hears of failed runs."""
        topic = self.aws.topic or f"{self.name}-retraining-failures"
        return topic if topic.startswith("arn:") else self.arn("sns", topic)

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

    @property
    def recipe_arn(self) -> str | None:
        """ARN of the recipe, None where AutoML chooses it."""
        if self.solution.auto_ml:
            return None
        return f"arn:{self.partition}:personalize:::recipe/{self.solution.recipe}"

    @property
    def solution_config(self) -> dict[str, Any]:
        """`solutionConfig` as CreateSolution takes it."""
        asked = self.solution
        config: dict[str, Any] = {}
        if asked.hyperparameters:
            config["algorithmHyperParameters"] = {
                name: str(value).lower() if isinstance(value, bool) else str(value)
                for name, value in asked.hyperparameters.items()
            }
        if asked.event_value_threshold is not None:
            config["eventValueThreshold"] = str(asked.event_value_threshold)
        return config

    @property
    def spec_key(self) -> str:
        """S3 key of the Spark job's specification."""
        return "artifacts/etl-job.json"

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """The configured data sets: users, items, interactions."""
        chosen = {kind: getattr(self.datasets, kind.lower()) for kind in DATASET_TYPES}
        return tuple(settings.data_set() for settings in chosen.values() if settings)

    def job_spec(self) -> JobSpec:
        """Return what the Spark job needs to know of this configuration."""
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
        ConfigError: the file cannot be read, is no TOML, or breaks rules; it lists all of them.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = sorted(file.name for file in source.parent.glob("*.toml"))
        fix = f"name one that exists: {', '.join(there)}" if there else "copy the project's example"
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
        text: the TOML text.
        source: how errors name it, for example the file's path.

    Raises:
        ConfigError: the text is no TOML, or breaks rules; it lists all of them.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fix = "mend the syntax there; strings stand in double quotes"
        raise ConfigError(source, [Mistake("TOML", "", str(error), fix)]) from None
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        mistakes = [*_mistakes(error, raw), *_mistakes_behind(error, raw)]
        raise ConfigError(source, mistakes) from None


def _mistakes(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    for found in error.errors():
        path = tuple(str(part) for part in found["loc"])
        rules = found.get("ctx", {}).get("error")
        if isinstance(rules, _BrokenRulesError):
            for below, rule, fix in rules.broken:
                yield Mistake(_dotted(path + below), _shown(_value(raw, path + below)), rule, fix)
            continue
        field = _field(path)
        value = "" if found["type"] == "missing" else _shown(found["input"])
        yield Mistake(_dotted(path), value, _rule(found), _fix(found, path, field))


def _mistakes_behind(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the rules that a data set's columns break when something else in it is wrong too.

    Pydantic looks at a table as a whole only once each of its values is sound.
    """
    faulty = {".".join(map(str, found["loc"][:2])) for found in error.errors()}
    checked = {
        ".".join(map(str, found["loc"]))
        for found in error.errors()
        if isinstance(found.get("ctx", {}).get("error"), _BrokenRulesError)
    }
    for settings in (UsersData, ItemsData, InteractionsData):
        path = ("datasets", settings.kind.lower())
        columns = _value(raw, (*path, "columns"))
        if _dotted(path) not in faulty - checked or not isinstance(columns, Mapping):
            continue
        sound = {name: _sound_column(value) for name, value in columns.items()}
        for below, rule, fix in _broken_rules(
            settings.model_construct(table="", columns=sound).data_set()
        ):
            yield Mistake(_dotted(path + below), _shown(_value(raw, path + below)), rule, fix)


def _sound_column(value: Any) -> ColumnSettings:
    try:
        return ColumnSettings.model_validate(_expression_or_table(value))
    except ValidationError:
        return ColumnSettings(source="unknown")


def _rule(found: Mapping[str, Any]) -> str:
    if found["type"] == "extra_forbidden":
        return "there is no such key"
    if found["type"] == "missing":
        return "this key is required"
    message = str(found["msg"]).replace("Input should", "the value should")
    return message[0].lower() + message[1:]


def _fix(found: Mapping[str, Any], path: tuple[str, ...], field: Any) -> str:
    if found["type"] == "extra_forbidden":
        if path[-1] in _KNOWN_STRANGERS:
            return _KNOWN_STRANGERS[path[-1]]
        model = _model(path[:-1])
        known = sorted(model.model_fields) if model else []
        near = difflib.get_close_matches(path[-1], known, n=1)
        return (
            f"did you mean {near[0]}?" if near else f"take it out; known keys: {', '.join(known)}"
        )
    if found["type"] == "literal_error":
        known = str(found["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        near = difflib.get_close_matches(str(found["input"]), known, n=1)
        return f"did you mean {near[0]}?" if near else f"write one of {', '.join(known)}"
    example = (
        f"for example {path[-1]} = {_shown(field.examples[0])}" if _has_examples(field) else ""
    )
    meaning = f"{path[-1]}: {field.description}" if field is not None and field.description else ""
    if found["type"] == "missing":
        return f"add it; {example or meaning}" if example or meaning else "add it"
    return example or meaning or "give a value that keeps the rule"


def _has_examples(field: Any) -> bool:
    return field is not None and bool(field.examples)


def _field(path: tuple[str, ...]) -> Any:
    model = _model(path[:-1])
    return model.model_fields.get(path[-1]) if model else None


def _model(path: tuple[str, ...]) -> type[_Model] | None:
    """Return the model that describes the table at `path`, None for free tables."""
    model: type[_Model] | None = Config
    for part in path:
        if model is None:
            return None
        if part.isdecimal():
            continue
        field = model.model_fields.get(part)
        if field is None:  # a free key, such as a column's name
            continue
        model = next(iter(_models_in(field.annotation)), None)
    return model


def _models_in(annotation: Any) -> Iterator[type[_Model]]:
    if isinstance(annotation, type) and issubclass(annotation, _Model):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _value(raw: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if isinstance(raw, Mapping):
            raw = raw.get(part)
        elif isinstance(raw, list) and part.isdecimal():
            raw = raw[int(part)]
    return raw


def _shown(value: Any) -> str:
    """Return a value as TOML shows it, cut where it is long; nothing for a table."""
    if value is None or isinstance(value, Mapping):
        return "" if not isinstance(value, Mapping) or len(str(value)) > 80 else str(value)
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def _dotted(path: tuple[str, ...]) -> str:
    dotted = ""
    for part in path:
        dotted += f"[{part}]" if part.isdecimal() else f".{part}"
    return dotted.removeprefix(".")
