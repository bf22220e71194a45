"""Data sets: one description gives the projection, the Avro schema, the CSV header and the checks.

Pure Python. The configuration builds these objects, the Spark job reads them back from JSON
(`JobSpec.to_json`, `JobSpec.from_json`), and the deployment takes the Avro schemas from them, so
the three cannot drift apart.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

DatasetType = Literal["USERS", "ITEMS", "INTERACTIONS"]
ColumnType = Literal["string", "int", "long", "float", "double", "boolean"]
JoinType = Literal["inner", "left"]
Engine = Literal["postgresql", "mysql"]

DATASET_TYPES: tuple[DatasetType, ...] = ("USERS", "ITEMS", "INTERACTIONS")

# https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
ID_COLUMNS = frozenset({"USER_ID", "ITEM_ID"})
TIMESTAMP_COLUMNS = frozenset({"TIMESTAMP", "CREATION_TIMESTAMP"})
REQUIRED_COLUMNS: Mapping[str, Mapping[str, ColumnType]] = {
    "USERS": {"USER_ID": "string"},
    "ITEMS": {"ITEM_ID": "string"},
    "INTERACTIONS": {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"},
}
RESERVED_COLUMNS: Mapping[str, Mapping[str, ColumnType]] = {
    "USERS": {},
    "ITEMS": {"CREATION_TIMESTAMP": "long"},
    "INTERACTIONS": {
        "EVENT_TYPE": "string",
        "EVENT_VALUE": "float",
        "IMPRESSION": "string",
        "RECOMMENDATION_ID": "string",
        "EVENT_ATTRIBUTION_SOURCE": "string",
    },
}
METADATA_LIMIT: Mapping[str, int] = {"USERS": 25, "ITEMS": 100, "INTERACTIONS": 5}
NEEDS_METADATA = frozenset({"USERS", "ITEMS"})
MAX_ID_LENGTH = 256
MAX_STRING_LENGTH = 1_000
MAX_TEXT_LENGTH = 20_000
# Personalize cuts longer texts itself: at this limit if they are Chinese or Japanese.
MAX_EAST_ASIAN_LENGTH = 7_000
# https://docs.aws.amazon.com/personalize/latest/dg/interactions-dataset-requirements.html
MAX_EVENT_TYPES_AND_COLUMNS = 10

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# https://spark.apache.org/docs/3.5.6/api/sql/
_BEYOND_FUNCTION = re.compile(
    r"\b(reflect|try_reflect|java_method|input_file_\w+|current_user|session_user|user|version"
    r"|current_catalog|current_database|current_schema|spark_partition_id"
    r"|monotonically_increasing_id|identifier)\b`?",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{[^}]*\}?")
_QUOTED = re.compile(
    r"""(?<!\w)r'[^']*'|(?<!\w)r"[^"]*"|'(\\.|[^'\\])*'|"(\\.|[^"\\])*"|`[^`]*`""",
    re.IGNORECASE | re.DOTALL,
)
_SUBQUERY = re.compile(r"(select|with|from|table)\b", re.IGNORECASE)
_LINE_COMMENT = re.compile(r"--(\\\r?\n|[^\r\n])*")
_COMMENT_EDGE = re.compile(r"/\*|\*/")

# How rows are read and their files cut; what is judged, or measured, of them; what is done later.
_OTHER_THAN_ROWS = frozenset(
    {
        *("partition_column", "partitions", "fetch_size", "output_files"),
        *("max_rejected_share", "agreement", "event_types", "backtest", "baseline"),
        "delivery",
    }
)


@dataclass(frozen=True)
class Problem:
    """A rule that a data set breaks: the column (empty for the whole), the rule and the fix."""

    column: str
    rule: str
    fix: str


@dataclass(frozen=True)
class Join:
    """A table joined by equality.

    Attributes:
        table: The table's name in the database, `table` or `schema.table`.
        how: `inner` drops rows without a match, `left` keeps them with nulls.
        on: Column (or `alias.column`) of the tables before → column of this table.
        alias: The table's name in expressions; empty for the last part of its own name.
        rename: Old column name → new one, applied before the join.
    """

    table: str
    how: JoinType
    on: Mapping[str, str]
    alias: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Relation:
    """A source of rows: a table, the tables joined to it in order, and a filter over all of them.

    Attributes:
        table: The table's name in the database.
        alias: Its name in expressions; empty for the last part of its own name.
        rename: Old column name → new one, applied before the joins.
        joins: The further tables, in the order in which they are joined.
        filter: A Spark SQL condition over `alias.column` names; empty keeps every row.
        partition_column: A numeric column by which the table is read in parallel; empty reads it
            by one connection.
    """

    table: str
    alias: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    joins: tuple[Join, ...] = ()
    filter: str = ""
    partition_column: str = ""


def beyond_the_row(expression: str) -> str | None:
    """Return what of a Spark SQL expression reads something else than the columns of its row.

    That is a function that calls Java or tells of files and the session, a variable of Spark such
    as `${env:HOME}`, which Spark replaces in texts too, or a subquery. A function counts inside of
    texts as well: where a text ends, Spark alone is sure.

    Returns:
        For example `reflect(…)`; None if it reads its row alone.
    """
    for name in _BEYOND_FUNCTION.finditer(expression):
        if expression.startswith("(", _next_token(expression, name.end())):
            return f"{name[1].lower()}(…)"
    if variable := _VARIABLE.search(expression):
        return variable[0]
    code = _QUOTED.sub("x", expression)
    openings = (match.end() for match in re.finditer(r"\(", code))
    if any(_SUBQUERY.match(code, _next_token(code, at)) for at in openings):
        return "a subquery"
    return None


def _next_token(sql: str, at: int) -> int:
    """Return where the next token begins, behind blanks and comments."""
    while at < len(sql):
        if sql[at].isspace():
            at += 1
        elif comment := _LINE_COMMENT.match(sql, at):
            at = comment.end()
        elif sql.startswith("/*", at):
            depth = 0
            for edge in _COMMENT_EDGE.finditer(sql, at):
                depth += 1 if edge[0] == "/*" else -1
                if not depth:
                    break
            at = edge.end() if not depth else len(sql)
        else:
            break
    return at


@dataclass(frozen=True)
class Column:
    """A column of a data set.

    Attributes:
        name: The Personalize field name, for example `USER_ID`.
        source: A Spark SQL expression over the relation's columns, for example `students.id`.
        type: The Avro type.
        required: True rejects rows without a value; False makes the type a union with null.
        categorical: True if the values are categories, several of them joined by `|`.
        textual: True if the values are natural-language text.
        item_name: True if it is the name of the item.
    """

    name: str
    source: str
    type: ColumnType = "string"
    required: bool = False
    categorical: bool = False
    textual: bool = False
    item_name: bool = False

    @property
    def is_id(self) -> bool:
        """Whether it is an id, whose length Personalize limits."""
        return self.name in ID_COLUMNS

    @property
    def is_timestamp(self) -> bool:
        """Whether Personalize reads it as UTC epoch seconds."""
        return self.name in TIMESTAMP_COLUMNS

    @property
    def max_length(self) -> int | None:
        """Most characters that Personalize takes of a value, None for what is no text."""
        if self.type != "string":
            return None
        if self.is_id:
            return MAX_ID_LENGTH
        return MAX_TEXT_LENGTH if self.textual else MAX_STRING_LENGTH

    @property
    def is_truncated(self) -> bool:
        """Whether a longer value is cut: a text, and a string that nothing is learned from.

        A longer id, category or reserved value is another one when it is cut: its row is rejected.
        """
        is_exact = self.is_id or self.categorical or self.name in RESERVED_COLUMNS["INTERACTIONS"]
        return self.max_length is not None and not is_exact

    @property
    def is_categorical(self) -> bool:
        """Whether Personalize learns from it as categories; from a boolean as True and False."""
        return self.categorical or self.type == "boolean"

    def avro_field(self) -> dict[str, Any]:
        """Return the column as a field of the Avro schema.

        A boolean is a string there: Personalize neither trains on Avro's boolean nor filters by it.
        https://docs.aws.amazon.com/personalize/latest/dg/preparing-training-data.html
        """
        avro_type = "string" if self.type == "boolean" else self.type
        avro: dict[str, Any] = {
            "name": self.name,
            "type": avro_type if self.required else ["null", avro_type],
        }
        if self.is_categorical:
            avro["categorical"] = True
        if self.textual:
            avro["textual"] = True
        if self.item_name:
            avro["itemName"] = True
        return avro


@dataclass(frozen=True)
class DataSet:
    """A Personalize data set: its source of rows and its columns."""

    type: DatasetType
    relation: Relation
    columns: tuple[Column, ...]

    @property
    def prefix(self) -> str:
        """Prefix of its CSV files below the run's prefix, for example `users/`."""
        return f"{self.type.lower()}/"

    @property
    def header(self) -> tuple[str, ...]:
        """Column names in the order of the CSV file."""
        return tuple(column.name for column in self.columns)

    def avro_schema(self) -> dict[str, Any]:
        """Return the Personalize schema of this data set."""
        return {
            "type": "record",
            "name": self.type.capitalize(),
            "namespace": "com.amazonaws.personalize.schema",
            "fields": [column.avro_field() for column in self.columns],
            "version": "1.0",
        }

    def avro_json(self) -> str:
        """Return the Personalize schema as canonical JSON text."""
        return json.dumps(self.avro_schema(), ensure_ascii=False, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that are others if its source or any column is another."""
        return _digest_of_rows(self)[:16]

    @property
    def counted_columns(self) -> tuple[str, ...]:
        """Columns of INTERACTIONS that Personalize counts together with the types of events."""
        if self.type != "INTERACTIONS":
            return ()
        fixed = {*REQUIRED_COLUMNS[self.type], *RESERVED_COLUMNS[self.type]}
        counted = {"EVENT_TYPE", "EVENT_VALUE"}
        return tuple(name for name in self.header if name in counted or name not in fixed)

    def problems(self) -> Iterator[Problem]:
        """Yield a problem for each rule of Personalize that the data set breaks."""
        required = REQUIRED_COLUMNS[self.type]
        reserved = {**required, **RESERVED_COLUMNS[self.type]}
        for name in required:
            if name not in self.header:
                yield Problem(
                    "",
                    f"{self.type} needs the column {name}",
                    f'add {name} = "…" with the expression that gives it',
                )
        for column in self.columns:
            if column.textual and self.type != "ITEMS":
                yield Problem(
                    column.name,
                    f"{self.type} has no textual columns, only ITEMS has one",
                    "write categorical = true for few values, or leave the flag out",
                )
            yield from _column_problems(column, reserved, required)
        metadata = [column for column in self.columns if column.name not in reserved]
        described = [column for column in self.columns if column.name not in required]
        learned = [c for c in described if c.is_categorical or c.type != "string"]
        if self.type in NEEDS_METADATA and not learned:
            yield Problem(
                "",
                f"{self.type} needs at least one categorical or numerical column besides"
                f" {', '.join(required)}; texts and plain strings are none",
                "add categorical = true to a column of few values, add a number, or leave the"
                " data set out",
            )
        if len(metadata) > METADATA_LIMIT[self.type]:
            yield Problem(
                "",
                f"{self.type} takes at most {METADATA_LIMIT[self.type]} metadata columns,"
                f" here are {len(metadata)}",
                "leave the least telling ones out",
            )
        if len(self.counted_columns) >= MAX_EVENT_TYPES_AND_COLUMNS:
            yield Problem(
                "",
                f"{', '.join(self.counted_columns)}: Personalize takes at most"
                f" {MAX_EVENT_TYPES_AND_COLUMNS} of such columns and event types together",
                "leave the least telling ones out",
            )
        textual = [column.name for column in self.columns if column.textual]
        if len(textual) > 1:
            yield Problem(
                textual[1],
                f"a data set takes one textual column, here are {', '.join(textual)}",
                "keep textual = true on one of them",
            )
        names = [column for column in self.columns if column.item_name]
        for column in names:
            if self.type != "ITEMS" or column.type != "string" or column.is_id:
                yield Problem(
                    column.name,
                    "item_name marks the name of an item: a string of ITEMS that is no id",
                    "leave the flag out",
                )
        if len(names) > 1:
            yield Problem(
                names[1].name,
                f"an item has one name, here are {', '.join(column.name for column in names)}",
                "keep item_name = true on one of them",
            )
        yield from _name_clashes(self.header)


def _column_problems(
    column: Column, reserved: Mapping[str, ColumnType], required: Mapping[str, ColumnType]
) -> Iterator[Problem]:
    name = column.name
    if not _FIELD_NAME.fullmatch(name):
        yield Problem(
            name,
            "a column name holds letters, digits and _ and starts with a letter",
            f"rename it, for example to {re.sub(r'[^A-Za-z0-9_]', '_', name).upper()}",
        )
    if name in reserved and column.type != reserved[name]:
        yield Problem(
            name,
            f"Personalize fixes the type of {name} to {reserved[name]}, not {column.type}",
            f'write type = "{reserved[name]}" or leave the type out',
        )
    if name in required and not column.required:
        yield Problem(name, f"{name} cannot be null", "leave required = false out")
    if (name in required or name in TIMESTAMP_COLUMNS or name == "EVENT_TYPE") and (
        column.categorical or column.textual
    ):
        yield Problem(
            name,
            f"{name} is a reserved column: neither categorical nor textual",
            "leave the flag out",
        )
    elif (column.categorical and column.type not in ("string", "boolean")) or (
        column.textual and column.type != "string"
    ):
        yield Problem(
            name,
            f"categorical and textual columns are strings, not {column.type}",
            'write type = "string" or leave the flag out',
        )
    if column.categorical and column.textual:
        yield Problem(
            name, "a column is categorical or textual, not both", "keep one of the two flags"
        )


def _name_clashes(header: tuple[str, ...]) -> Iterator[Problem]:
    """Yield names that Personalize considers equal: it compares letters and digits alone."""
    seen: dict[str, str] = {}
    for name in header:
        reduced = re.sub(r"[^a-z0-9]", "", name.lower())
        if reduced in seen:
            yield Problem(
                name,
                f"Personalize takes {name} and {seen[reduced]} for the same name",
                "rename one of them",
            )
        seen.setdefault(reduced, name)


@dataclass(frozen=True)
class Lookup:
    """A list of ids, or of pairs of ids, that the job writes beside the data sets.

    Attributes:
        prefix: Prefix of its files below the run's prefix, for example `filter/eligible-items/`.
        relation: Its source of rows; duplicates, and rows with a null, are left out and no fault.
        columns: Column name → Spark SQL expression.
    """

    prefix: str
    relation: Relation
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Agreement:
    """Least shares (0..1) of what must be found in the data sets; below one, the job fails.

    The configuration has the usual ones; 0 fails nothing.

    Attributes:
        batch_input: Users, or items, to recommend for that have interactions.
        interaction_users: Interactions whose user is in USERS.
        interaction_items: Interactions whose item is in ITEMS.
        eligible_items: Eligible items that are in ITEMS.
        exclusions: Pairs whose user, and whose item, is known.
        event_types: Event types named in the configuration that occur.
        warn_below: Share below which a warning is written.
    """

    batch_input: float = 0.0
    interaction_users: float = 0.0
    interaction_items: float = 0.0
    eligible_items: float = 0.0
    exclusions: float = 0.0
    event_types: float = 0.0
    warn_below: float = 0.9

    def least(self, key: str) -> float:
        """Return the bound of this name."""
        bound: float = getattr(self, key)
        return bound


@dataclass(frozen=True)
class Backtest:
    """The comparison of the lists published last with what people did since.

    Attributes:
        event_types: The events that count as success; empty for all.
    """

    event_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class LearnedEvents:
    """The interactions that the solution learns from.

    Attributes:
        event_type: Their type; empty for all.
        least_value: Their least EVENT_VALUE; None for all.
    """

    event_type: str = ""
    least_value: float | None = None


@dataclass(frozen=True)
class Watermark:
    """How far the interactions have been read, by a column that says when a row was written.

    Attributes:
        column: Of the interactions' table in the database: a date, a timestamp or epoch seconds.
        overlap_seconds: So much before its greatest value the next run begins to read.
    """

    column: str
    overlap_seconds: int


@dataclass(frozen=True)
class Delivery:
    """A table of the database that the published list goes into.

    Attributes:
        table: The table's name, `table` or `schema.table`.
        columns: Column of the list, for example `USER_ID`, or `RUN` → column of the table.
    """

    table: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class RecommenderLists:
    """What the job writes and measures for one recommender.

    Attributes:
        batch_input: As that of `JobSpec`, as the next three.
        eligible_items: None for all.
        exclusions: None for none.
        baseline: None if the most popular items are not measured.
    """

    batch_input: Lookup
    eligible_items: Lookup | None = None
    exclusions: Lookup | None = None
    baseline: LearnedEvents | None = None

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """The lists that there are."""
        lists = (self.batch_input, self.eligible_items, self.exclusions)
        return tuple(each for each in lists if each is not None)


@dataclass(frozen=True)
class JobSpec:
    """The part of the configuration that the job reads.

    Attributes:
        engine: The database's engine, which decides the JDBC driver.
        datasets: The data sets that Personalize imports.
        batch_input: The users to recommend for, or the items to which related ones are found; one
            column, `USER_ID` or `ITEM_ID`.
        eligible_items: The items that may be recommended (`ITEM_ID`), None for all.
        exclusions: Pairs never to be recommended (`USER_ID`, `ITEM_ID`), None for none.
        partitions: Parallel connections for a relation with a partition column.
        fetch_size: Rows of one JDBC round trip.
        output_files: Most CSV files of a data set, None for as many as Spark has partitions.
        max_rejected_share: Share of a data set's rows (0..1) that may break a rule before the
            job fails.
        agreement: Least shares of what must be found in the data sets.
        event_types: Key path in the configuration → event types that it names.
        backtest: How the lists published last are compared; None if they are not.
        baseline: The interactions of which the most popular items are measured as Personalize
            measures a solution version; None if they are not.
        watermark: How far the interactions have been read; None if each run reads all of them.
        delivery: The table that the published list goes into; None for none.
        recommenders: Name → the lists of each further recommender; those here are the first one's.
        holdout: The interactions that count where models are compared by a hold-out; None if
            nothing is held out.
    """

    engine: Engine
    datasets: tuple[DataSet, ...]
    batch_input: Lookup
    eligible_items: Lookup | None = None
    exclusions: Lookup | None = None
    partitions: int = 4
    fetch_size: int = 10_000
    output_files: int | None = None
    max_rejected_share: float = 0.01
    agreement: Agreement = Agreement()
    event_types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backtest: Backtest | None = None
    baseline: LearnedEvents | None = None
    watermark: Watermark | None = None
    delivery: Delivery | None = None
    recommenders: Mapping[str, RecommenderLists] = field(default_factory=dict)
    holdout: LearnedEvents | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the lists published last, or the most popular items, are measured."""
        baselines = [self.baseline, *(each.baseline for each in self.recommenders.values())]
        return self.backtest is not None or any(baselines)

    def of_recommender(self, name: str) -> JobSpec:
        """Return the specification as if one of `recommenders` were the only one.

        What is measured of the lists published last is not its.
        """
        lists = self.recommenders[name]
        return replace(
            self,
            batch_input=lists.batch_input,
            eligible_items=lists.eligible_items,
            exclusions=lists.exclusions,
            baseline=lists.baseline,
            event_types={},
            backtest=None,
            recommenders={},
        )

    def to_json(self) -> str:
        """Return the specification as JSON text; the same specification gives the same bytes.

        Without further recommenders, or a hold-out, it is the same as before there could be any.
        """
        content = asdict(self)
        for name in ("recommenders", "holdout"):
            if not content[name]:
                del content[name]
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"

    @property
    def digest(self) -> str:
        """Twelve letters of a digest of the content, by which its file is named."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def extraction(self) -> str:
        """Twelve letters that are others if the same database gives other rows, or other files."""
        return _digest_of_rows(self)[:12]

    @classmethod
    def from_json(cls, text: str) -> JobSpec:
        """Return the specification that `to_json` wrote.

        Raises:
            ValueError: If the text is not a specification.
        """
        try:
            raw = json.loads(text)
            return cls(
                **{
                    **raw,
                    "datasets": tuple(
                        DataSet(
                            dataset["type"],
                            _relation(dataset["relation"]),
                            tuple(Column(**column) for column in dataset["columns"]),
                        )
                        for dataset in raw["datasets"]
                    ),
                    **_lists(raw),
                    "agreement": Agreement(**raw["agreement"]),
                    "event_types": {key: tuple(names) for key, names in raw["event_types"].items()},
                    "backtest": raw["backtest"]
                    and Backtest(event_types=tuple(raw["backtest"]["event_types"])),
                    "watermark": raw["watermark"] and Watermark(**raw["watermark"]),
                    "delivery": raw["delivery"] and Delivery(**raw["delivery"]),
                    "holdout": LearnedEvents(**raw["holdout"]) if "holdout" in raw else None,
                    "recommenders": {
                        name: RecommenderLists(**{**lists, **_lists(lists)})
                        for name, lists in raw.get("recommenders", {}).items()
                    },
                }
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a job specification: {error}") from error


def _digest_of_rows(description: DataSet | JobSpec) -> str:
    """Return a digest of what decides which rows are written, and how; it has each new field."""

    def without_others(fields: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in fields if name not in _OTHER_THAN_ROWS}

    content = asdict(description, dict_factory=without_others)
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _relation(raw: Mapping[str, Any]) -> Relation:
    return Relation(**{**raw, "joins": tuple(Join(**join) for join in raw["joins"])})


def _lists(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: _lookup(raw[name]) for name in ("batch_input", "eligible_items", "exclusions")},
        "baseline": raw["baseline"] and LearnedEvents(**raw["baseline"]),
    }


def _lookup(raw: Mapping[str, Any] | None) -> Any:
    return raw and Lookup(**{**raw, "relation": _relation(raw["relation"])})
