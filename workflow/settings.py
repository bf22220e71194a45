"""The tables of retraining.toml, one model each: types, ranges, Personalize's rules, meaning.

They validate a user's file: strict, frozen, no unknown keys. The messages about mistakes and the
reference are made of their field descriptions and examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from etl.datasets import (
    REQUIRED_COLUMNS,
    RESERVED_COLUMNS,
    Column,
    ColumnType,
    DataSet,
    DatasetType,
    Engine,
    Join,
    Lookup,
    Relation,
)
from workflow.hyperparameters import TUNABLE, hyperparameter_problems
from workflow.names import (
    Broken,
    bucket_problem,
    function_problem,
    job_problem,
    key_problem,
    role_problem,
    topic_problem,
)
from workflow.personalize import RECIPES, REGIONS, USABLE_RECIPES
from workflow.schedule import ScheduleError, read_expression, time_zones
from workflow.spelling import nearest, suggestion

FunctionName = Literal[
    "begin-run",
    "plan-increment",
    "list-datasets",
    "create-import-job",
    "create-solution-version",
    "judge-solution-version",
    "create-batch-inference-job",
    "get-status",
    "filter-recommendations",
    "update-campaign",
    "record-campaigns",
    "deliver-recommendations",
    "clean-up",
    "send-notification",
]
# What CloudWatch Logs accepts, up to ten years.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
]  # fmt: skip
RoleName = Literal["states", "functions", "glue", "personalize", "sagemaker", "scheduler"]
FUNCTIONS: tuple[FunctionName, ...] = get_args(FunctionName)
ROLES: tuple[RoleName, ...] = get_args(RoleName)

# Reserved columns that Personalize declares without null.
_NEVER_NULL = {"TIMESTAMP", "CREATION_TIMESTAMP", "EVENT_TYPE", "USER_ID", "ITEM_ID"}
Rule = tuple[tuple[str, ...], str, str]  # key path below the model, rule, fix


class BrokenRulesError(ValueError):
    """Several broken rules, raised by one pydantic validator."""

    def __init__(self, broken: Sequence[Rule]) -> None:
        self.broken = tuple(broken)
        super().__init__("; ".join(rule for _, rule, _ in broken))


class Settings(BaseModel):
    """A table of the configuration: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def own_faults(self) -> Iterator[Rule]:
        """Yield the rules that the table breaks as a whole, each value of it being sound."""
        yield from ()

    @model_validator(mode="after")
    def _breaks_no_rule(self) -> Self:
        if broken := list(self.own_faults()):
            raise BrokenRulesError(broken)
        return self


def scalar(value: Any) -> Any:
    """Return a value that has no parts, as it is."""
    if isinstance(value, str | int | float):
        return value
    rule = "a hyperparameter is a text, a number, true or false"
    raise BrokenRulesError([((), rule, "write one, or the parts as one text")])


Hyperparameter = Annotated[str | int | float | bool, BeforeValidator(scalar)]
"""The value of a hyperparameter."""


class RelationSettings(Settings):
    """Rows of the database: a table, joined tables and a filter."""

    table: str = Field(min_length=1, examples=["students"], description="table, or schema.table")
    alias: str = Field("", description="how expressions name it; its own name if left out")
    rename: dict[str, str] = Field({}, description="old column name = new one, before the joins")
    joins: list[JoinSettings] = Field([], description="further tables, joined in this order")
    filter: str = Field(
        "",
        examples=["students.status = 'active'"],
        description="Spark SQL condition; rows for which it does not hold are left out",
    )
    partition_column: str = Field(
        "",
        examples=["id"],
        description="numeric column by which several connections share the table; one reads it"
        " if left out",
    )

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


class JoinSettings(Settings):
    """A table joined by equality."""

    table: str = Field(min_length=1, examples=["departments"], description="table, or schema.table")
    how: Literal["inner", "left"] = Field(
        description="inner drops rows without a partner, left keeps them", examples=["left"]
    )
    on: dict[str, str] = Field(
        min_length=1,
        examples=[{"department_id": "id"}],
        description="column of an earlier table = column of this table",
    )
    alias: str = Field("", description="how expressions name it; its own name if left out")
    rename: dict[str, str] = Field({}, description="old column name = new one, before the join")


class ColumnSettings(Settings):
    """A column: a Spark SQL expression, or a table with more to say about it."""

    source: str = Field(
        min_length=1, examples=["students.grade"], description="Spark SQL expression for one row"
    )
    type: ColumnType | None = Field(
        None,
        examples=["string"],
        description="Personalize's own type for a reserved name, string for others, if left out",
    )
    required: bool | None = Field(
        None,
        description="leave rows without a value out; true for ids, timestamps and EVENT_TYPE if"
        " left out, else false",
    )
    categorical: bool = Field(
        False, description="Personalize learns from it as categories, several joined by |"
    )
    textual: bool = Field(
        False, description="Personalize reads it as natural language; one column of the items"
    )

    item_name: bool = Field(
        False,
        description="it is the item's name, which aws-semantic-similarity needs; one column of the"
        " items",
    )

    def column(self, name: str, reserved: Mapping[str, ColumnType]) -> Column:
        """Return the column `name`, with Personalize's type where it reserves the name."""
        return Column(
            name=name,
            source=self.source,
            type=self.type or reserved.get(name, "string"),
            required=name in _NEVER_NULL if self.required is None else self.required,
            categorical=self.categorical,
            textual=self.textual,
            item_name=self.item_name,
        )


def expression_or_table(value: Any) -> Any:
    """Return a column's table; a bare expression is short for one."""
    return {"source": value} if isinstance(value, str) else value


class DataSetSettings(RelationSettings):
    """A Personalize data set: rows, and the columns made of them."""

    columns: dict[str, Annotated[ColumnSettings, BeforeValidator(expression_or_table)]] = Field(
        examples=[{"USER_ID": "students.id"}],
        description="name of the column = where it comes from; their order is that of the CSV",
    )

    dataset_type: ClassVar[DatasetType]

    def data_set(self) -> DataSet:
        """Return the description from which projection, schema, header and checks follow."""
        reserved = {**REQUIRED_COLUMNS[self.dataset_type], **RESERVED_COLUMNS[self.dataset_type]}
        return DataSet(
            self.dataset_type,
            self.relation(),
            tuple(settings.column(name, reserved) for name, settings in self.columns.items()),
        )

    def own_faults(self) -> Iterator[Rule]:
        """Yield the rules of Personalize that the data set breaks."""
        data_set, required = self.data_set(), REQUIRED_COLUMNS[self.dataset_type]
        for problem in data_set.problems():
            missing = [name for name in required if name in problem.rule and not problem.column]
            near = nearest(missing[0], data_set.header) if missing else None
            fix = f"did you mean it by {near}? {problem.fix}" if near else problem.fix
            yield ("columns", *filter(None, [problem.column])), problem.rule, fix


class UsersData(DataSetSettings):
    """The users of the recommendations."""

    dataset_type = "USERS"


class ItemsData(DataSetSettings):
    """The recommended items."""

    dataset_type = "ITEMS"


class InteractionsData(DataSetSettings):
    """Events of users with items, with their time."""

    dataset_type = "INTERACTIONS"


class DataSetsSettings(Settings):
    """The data sets that Personalize imports."""

    interactions: InteractionsData = Field(description="events of users with items")
    users: UsersData | None = Field(None, description="who is recommended to")
    items: ItemsData | None = Field(None, description="the recommended items")


class BatchInferenceSettings(RelationSettings):
    """Whom, or to which items, to recommend, and how much to ask Personalize for."""

    user_id: str = Field(
        examples=["students.id"],
        description="Spark SQL expression for the user's id, as in the interactions; left out with"
        " item_id",
    )
    item_id: str = Field(
        "",
        examples=["job_postings.id"],
        description="the same for an item's id, in place of user_id: recipes of related items"
        " recommend items to each",
    )
    num_results: int = Field(
        100, ge=1, le=500, description="requested per user; the filter keeps fewer"
    )
    personalize_filter: str = Field(
        "",
        max_length=2_500,
        examples=['EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")'],
        description="filter expression of Personalize: items to leave out, or to keep",
    )
    exploration_weight: float | None = Field(
        None, ge=0, le=1, description="how much new items are tried out: 0 not at all, 1 most"
    )
    exploration_item_age_cut_off: float | None = Field(
        None, gt=0, description="days; items younger than this count as new"
    )

    def lookup(self) -> Lookup:
        """Return the users, or items, as the Spark job knows them."""
        column = {"ITEM_ID": self.item_id} if self.item_id else {"USER_ID": self.user_id}
        return Lookup("batch-input/", self.relation(), column)

    @model_validator(mode="before")
    @classmethod
    def _user_or_item(cls, raw: Any) -> Any:
        """Return the table with an empty user_id where item_id stands in its place."""
        return {"user_id": "", **raw} if isinstance(raw, dict) and "item_id" in raw else raw

    def own_faults(self) -> Iterator[Rule]:
        """Yield that there is not one id."""
        if bool(self.user_id) == bool(self.item_id):
            rule = "both user_id and item_id are there" if self.user_id else "user_id is empty"
            fix = "write user_id, or item_id for a recipe of related items, as the table's key"
            yield ("user_id",), rule, fix

    @property
    def exploration(self) -> dict[str, str]:
        """Item exploration as CreateBatchInferenceJob takes it: names to numbers as text."""
        settings = {
            "explorationWeight": self.exploration_weight,
            "explorationItemAgeCutOff": self.exploration_item_age_cut_off,
        }
        return {name: str(value) for name, value in settings.items() if value is not None}


class EligibleItemsSettings(RelationSettings):
    """The items that may be recommended now."""

    item_id: str = Field(
        min_length=1,
        examples=["job_postings.id"],
        description="Spark SQL expression for the item's id",
    )

    def lookup(self) -> Lookup:
        """Return the items as the Spark job knows them."""
        return Lookup("filter/eligible-items/", self.relation(), {"ITEM_ID": self.item_id})


class ExclusionsSettings(RelationSettings):
    """Pairs of user and item that are never recommended."""

    user_id: str = Field(
        min_length=1,
        examples=["events.student_id"],
        description="Spark SQL expression for the user's id",
    )
    item_id: str = Field(
        min_length=1,
        examples=["events.job_posting_id"],
        description="Spark SQL expression for the item's id",
    )

    def lookup(self) -> Lookup:
        """Return the pairs as the Spark job knows them."""
        columns = {"USER_ID": self.user_id, "ITEM_ID": self.item_id}
        return Lookup("filter/exclusions/", self.relation(), columns)


class FilterSettings(Settings):
    """Filters of the recommended items before they are published."""

    keep: int = Field(25, ge=1, le=500, description="recommendations per user in the final CSV")
    spark_above: int | None = Field(
        None,
        ge=0,
        examples=[2_000_000],
        description="users, or items, to recommend for, and a tenth of the excluded pairs: above"
        " this number a Spark job on Glue filters in place of the function; 0 for always, left out"
        " for never",
    )
    eligible_items: EligibleItemsSettings | None = Field(
        None, description="the items that may be recommended now; all of them if left out"
    )
    exclusions: ExclusionsSettings | None = Field(
        None, description="pairs of user and item that are never recommended"
    )


def usable_recipe(value: str) -> str:
    """Return the name of a recipe with batch inference for users or items, as it is."""
    why_not = RECIPES.get(value)
    usable = f"write one of {', '.join(USABLE_RECIPES)}"
    if why_not:
        raise BrokenRulesError([((), f"the workflow cannot use this recipe: {why_not}", usable)])
    if why_not is None:
        fix = suggestion(value, USABLE_RECIPES, otherwise=usable)
        raise BrokenRulesError([((), "Personalize has no such recipe", fix)])
    return value


class SolutionSettings(Settings):
    """The solution that Personalize trains."""

    name: str = Field(
        "",
        max_length=63,
        pattern=r"^([a-zA-Z0-9][a-zA-Z0-9\-_]*)?$",
        examples=["labbase-v2"],
        description="of the solution; the configuration's name if left out. Another recipe or"
        " other settings need another name: Personalize cannot change a solution",
    )
    recipe: Annotated[str, AfterValidator(usable_recipe)] = Field(
        "aws-user-personalization",
        examples=["aws-user-personalization-v2"],
        description="recipe of Personalize, of related items with batch_inference.item_id:"
        f" {', '.join(USABLE_RECIPES)}",
    )
    auto_ml: bool = Field(False, description="let Personalize choose the recipe")
    hpo: bool = Field(False, description="let Personalize search the hyperparameters")
    hyperparameters: dict[str, Hyperparameter] = Field(
        {}, examples=[{"hidden_dimension": 100}], description="of the recipe, by AWS's names"
    )
    event_type: str = Field("", max_length=256, description="train on these events alone")
    event_value_threshold: float | None = Field(
        None, description="train only on events whose EVENT_VALUE is at least this"
    )

    def own_faults(self) -> Iterator[Rule]:
        """Yield what the recipe has not, or auto_ml chooses."""
        if self.auto_ml and "recipe" in self.model_fields_set:
            yield (
                ("recipe",),
                "with auto_ml = true Personalize chooses the recipe itself",
                "leave the recipe out, or write auto_ml = false",
            )
        if self.auto_ml and self.hyperparameters:
            yield (
                ("hyperparameters",),
                "hyperparameters belong to one recipe; auto_ml = true chooses among several",
                "leave them out, or write auto_ml = false and name the recipe",
            )
        if self.auto_ml:
            return
        for name, rule, fix in hyperparameter_problems(self.recipe, self.hyperparameters):
            yield ("hyperparameters", name), rule, fix
        if self.hpo and self.recipe not in TUNABLE:
            rule = f"{self.recipe} has no hyperparameters to search"
            fix = f"leave it out, or write a recipe of {', '.join(sorted(TUNABLE))}"
            yield ("hpo",), rule, fix


class PollingSettings(Settings):
    """Bounds of the pauses between two polls of a job; they follow from how long the last took."""

    min_seconds: int = Field(15, ge=1, le=3_600, description="least pause between two polls")
    max_seconds: int = Field(
        900,
        ge=1,
        le=86_400,
        description="longest pause between two polls, and so until an early failure is noticed",
    )

    def own_faults(self) -> Iterator[Rule]:
        """Yield bounds in the wrong order."""
        if self.min_seconds > self.max_seconds:
            rule = f"min_seconds {self.min_seconds} is above max_seconds {self.max_seconds}"
            yield ("min_seconds",), rule, "exchange the two"


class EtlSettings(Settings):
    """The Spark job."""

    worker_type: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = Field(
        "G.1X", description="size of a Glue worker; G.1X is 4 vCPU and 16 GB, each next one doubles"
    )
    workers: int = Field(2, ge=2, le=299, description="Glue workers, the driver among them")
    timeout_minutes: int = Field(120, ge=1, le=2_880, description="the job is ended after these")
    partitions: int = Field(4, ge=1, le=256, description="parallel reads of one table")
    fetch_size: int = Field(10_000, ge=1, description="rows per JDBC round trip")
    output_files: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="most CSV files of a data set; as many as Spark has partitions if left out",
    )
    max_rejected_share: float = Field(
        0.01, ge=0, le=1, description="share of rows that may break a rule before the job fails"
    )


def _least(description: str, default: float = 0.1) -> Any:
    return Field(default, ge=0, le=1, description=description)


class AgreementSettings(Settings):
    """Least shares of what must be found in the data sets; below one, the run fails."""

    batch_input: float = _least(
        "of users to recommend for that have interactions; of items that are known"
    )
    interaction_users: float = _least("of interactions whose user is in the users")
    interaction_items: float = _least("of interactions whose item is in the items")
    eligible_items: float = _least("of eligible items that are in the items")
    exclusions: float = _least("of exclusions whose user, and whose item, is known")
    event_types: float = _least("of event types named in one place here that occur")
    different_lists: float = _least(
        "of recommended lists that are not like the list before; of no weight for"
        " aws-popularity-count, which gives all users the same",
        0.01,
    )
    warn_below: float = _least("share below which a warning is logged and reported", 0.9)


class SourceSettings(Settings):
    """The database."""

    engine: Engine = Field(examples=["postgresql"], description="which database it is")
    connection: str = Field(
        min_length=1,
        max_length=255,
        examples=["labbase-rds"],
        description="Glue connection that reaches the database; local runs take --database-url",
    )
    secret: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+)?$",
        examples=["arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop-1a2b3c"],
        description="secret that the Glue connection takes user and password from, if it does",
    )


def schedule_expression(value: str) -> str:
    """Return a schedule expression that EventBridge Scheduler accepts, as it is."""
    try:
        read_expression(value)
    except ScheduleError as error:
        raise BrokenRulesError([((), error.rule, error.fix)]) from None
    return value


def time_zone(value: str) -> str:
    """Return a time zone of IANA's database, as it is."""
    if value not in time_zones() or value in {"Factory", "localtime"}:
        places = sorted(zone for zone in time_zones() if "/" in zone)
        fix = suggestion(value, places, otherwise="write one such as Asia/Tokyo or UTC")
        raise BrokenRulesError([((), "IANA's database has no such time zone", fix)])
    return value


class ScheduleSettings(Settings):
    """The schedule of the workflow."""

    expression: Annotated[str, AfterValidator(schedule_expression)] = Field(
        examples=["cron(0 4 * * ? *)", "rate(1 days)"],
        description="cron, rate or at expression, as EventBridge Scheduler takes it",
    )
    timezone: Annotated[str, AfterValidator(time_zone)] = Field(
        "UTC", examples=["Asia/Tokyo"], description="of a cron or at expression, by IANA's name"
    )
    enabled: bool = Field(True, description="false keeps the schedule and starts nothing")


class ReportSettings(Settings):
    """How people read a run's report."""

    title: str = Field(
        "",
        examples=["TITLE"],
        description="column of the items that holds an item's title, by which reports and local"
        " runs name it; if left out, the item_name column, or one that is called TITLE or NAME",
    )


def region_of_personalize(value: str) -> str:
    """Return a region that has Personalize, as it is."""
    if value not in REGIONS:
        fix = f"write one of {', '.join(REGIONS)}"
        raise BrokenRulesError([((), "AWS does not offer Personalize there", fix)])
    return value


class AwsSettings(Settings):
    """Account and region, and names that differ from the derived ones."""

    account: str = Field(
        pattern=r"^\d{12}$", examples=["123456789012"], description="number of the AWS account"
    )
    region: Annotated[str, AfterValidator(region_of_personalize)] = Field(
        examples=["ap-northeast-1"], description="region of everything; it has Personalize"
    )
    bucket: str = Field(
        "",
        description="bucket of the runs: a name is created, an ARN names a bucket that is there and"
        " is left alone; NAME-retraining-ACCOUNT-REGION if left out",
    )
    roles: dict[RoleName, str] = Field(
        {}, description="a name is created so; an ARN names a role that is there and is left alone"
    )
    functions: dict[FunctionName, str] = Field(
        {}, description="names of the Lambda functions; NAME-list-datasets and so on if left out"
    )
    glue_job: str = Field("", description="name of the job; NAME-retraining-etl if left out")
    dataset_group: str = Field(
        "",
        max_length=63,
        pattern=r"^([a-zA-Z0-9][a-zA-Z0-9\-_]*)?$",
        description="Personalize dataset group; the configuration's name if left out",
    )
    topic: str = Field(
        "",
        description="SNS topic for failed runs: a name is created, an ARN is left alone",
    )
    emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = Field(
        [],
        examples=[["recommendations@example.com"]],
        description="addresses that are subscribed to the topic; each confirms by the mail that it"
        " gets, and one that is taken out here stays subscribed",
    )
    kms_key: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+)?$",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/1f2e3d4c-5b6a-4798-8897-a6b5c4d3e2f1"],
        description="encrypts bucket, functions, logs, queue, topic, data sets and definition;"
        " its key policy lets CloudWatch, CloudWatch Logs, EventBridge, Personalize and Scheduler"
        " use it",
    )
    permission_boundary: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:iam::(aws|\d{12}):policy/.+)?$",
        examples=["arn:aws:iam::123456789012:policy/developers"],
        description="policy that bounds every role",
    )
    subnets: list[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")]] = Field(
        [],
        max_length=16,
        examples=[["subnet-0a1b2c3d"]],
        description="of the functions; they reach S3, Personalize and Step Functions, with"
        " [notification] SNS and EventBridge too, through endpoints or a NAT",
    )
    security_groups: list[Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")]] = Field(
        [], max_length=5, examples=[["sg-0a1b2c3d"]], description="of the functions"
    )
    log_retention_days: RetentionDays = Field(30, description="of the log groups")
    run_retention_days: int = Field(
        90, ge=1, description="files of a run; the published CSV is one of them"
    )
    tracing: bool = Field(True, description="X-Ray for the state machine and the functions")

    def own_faults(self) -> Iterator[Rule]:
        """Yield names that AWS does not take, and what belongs together."""
        yield from self._name_problems()
        if self.emails and self.topic.startswith("arn:"):
            rule = "a topic that is named by its ARN is left alone, so that nobody is subscribed"
            yield ("emails",), f"{rule} to it", "subscribe there, and leave emails out"
        if bool(self.subnets) != bool(self.security_groups):
            present, missing = (
                ("subnets", "security_groups") if self.subnets else ("security_groups", "subnets")
            )
            rule = f"functions in a VPC need subnets and security_groups; there are only {present}"
            yield (missing,), rule, f"add {missing}, or leave out both"

    def _name_problems(self) -> Iterator[Rule]:
        bucket = re.sub(r"^arn:aws(-cn)?:s3:::", "", self.bucket)
        checked: list[tuple[tuple[str, ...], str, Broken | None]] = [
            (("bucket",), self.bucket, bucket_problem(bucket)),
            (("topic",), self.topic, topic_problem(self.topic, self.region)),
            (("glue_job",), self.glue_job, job_problem(self.glue_job)),
            (("kms_key",), self.kms_key, key_problem(self.kms_key, self.region)),
            *((("roles", role), name, role_problem(name)) for role, name in self.roles.items()),
        ]
        names = list(self.functions.values())
        for function, name in self.functions.items():
            problem = function_problem(name)
            if problem is None and names.count(name) > 1:
                problem = "two functions have this name", "give each its own"
            checked.append((("functions", function), name, problem))
        for path, value, problem in checked:
            if problem and (value or len(path) > 1):
                yield path, *problem
