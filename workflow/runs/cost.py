"""The cost of a run and of a month: quantities from the definition, prices from a dated table.

The definition is walked as Step Functions would, with jobs that take as long as assumed and the
waits of `Get Job Status` between two polls; so the number of state transitions is computed, not
guessed. A run that was made gives its own figures instead. Nothing here calls AWS.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from workflow.config import Config
from workflow.definition import asl
from workflow.definition.asl import Definition, Scope, State
from workflow.definition.limits import NextWait
from workflow.errors import WorkflowError
from workflow.personalize import FAILED_STATUSES
from workflow.run_names import EXTRACTED, FILTER_SIZE
from workflow.runs import billing
from workflow.runs.billing import BATCH, CAMPAIGN, FUNCTION, IMPORT, SPARK, TRAINING
from workflow.runs.endings import Endings
from workflow.runs.prices import BASE_REGION, Price
from workflow.schedule import DAYS_IN_A_MONTH, runs_a_month
from workflow.spelling import suggestion

DPU_OF_A_WORKER = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}
NOT_COUNTED = (
    "the database, data transfer and NAT, requests to S3, notifications, DynamoDB,"
    " CloudWatch, X-Ray, KMS, and free tiers"
)
_MEGABYTES_IN_A_GIGABYTE = 1_024
_STATUSES = frozenset({"ACTIVE", *FAILED_STATUSES})
"""Those of a job of Personalize by which the Choice of a poll loop goes."""
_MOST_STEPS = 25_000  # events of one execution, at which Step Functions ends it


class CostError(WorkflowError, ValueError):
    """A cost that cannot be computed; the text says why and what to do."""


@dataclass(frozen=True)
class Assumption:
    """A quantity that the cost depends on.

    Attributes:
        name: For example `training_minutes`; `--assume training_minutes=90` sets it.
        value: The quantity, in `unit`.
        unit: For example `minutes`.
        meaning: A description.
        origin: `assumed`, `given`, or the run in which it was measured.
    """

    name: str
    value: float
    unit: str
    meaning: str
    origin: str = "assumed"


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption("etl_minutes", 10, "minutes", "the Spark job"),
    Assumption("import_minutes", 20, "minutes", "the import of each data set"),
    Assumption("training_minutes", 60, "minutes", "until the solution version is ACTIVE"),
    Assumption("training_hours", 1, "hours", "training that Personalize bills, often more"),
    Assumption("batch_minutes", 30, "minutes", "the batch inference job"),
    Assumption("filter_minutes", 2, "minutes", "filtering and publishing by the function"),
    Assumption("spark_filter_minutes", 10, "minutes", "the Spark job that filters, if it does"),
    Assumption("compare_minutes", 5, "minutes", "the Spark job that compares models, if it does"),
    Assumption("als_minutes", 15, "minutes", "the Spark job that trains als and makes its lists"),
    Assumption("campaign_minutes", 10, "minutes", "the update of each campaign"),
    Assumption("own_training_minutes", 30, "minutes", "the training job of each model of your own"),
    Assumption("own_inference_minutes", 15, "minutes", "the transform job of each of them"),
    Assumption("call_seconds", 1, "seconds", "each other call of a function"),
    Assumption("gigabytes", 0.1, "GB", "imported by Personalize"),
    Assumption("stored_gigabytes", 0.2, "GB", "written below the run's prefix"),
    Assumption("users", 5_000, "users", "in the batch inference job"),
    Assumption("function_gigabytes", 0.25, "GB", "memory of a function"),
    Assumption("filter_gigabytes", 1, "GB", "memory of the function that filters"),
)


_OF_EACH = frozenset({"training_hours", "users"})
_OF_MODELS = frozenset(minutes for minutes, _ in billing.INSTANCE_JOBS.values())


def assumptions_for(config: Config) -> tuple[Assumption, ...]:
    """Return `ASSUMPTIONS`; of several recommenders, the sums of what each trains and infers.

    Those of models of one's own are there if there are such models.
    """
    several = len(config.each_recommender)
    left_out = set() if config.sagemaker_models else {*_OF_MODELS}
    if config.models.keys() == config.sagemaker_models.keys():
        left_out.add("als_minutes")
    return tuple(
        replace(each, value=each.value * several, meaning=f"{each.meaning}, of all recommenders")
        if several > 1 and each.name in _OF_EACH
        else each
        for each in ASSUMPTIONS
        if each.name not in left_out
    )


JOBS = {
    "aws-sdk:personalize:createDatasetImportJob": "import_minutes",
    "aws-sdk:personalize:createSolutionVersion": "training_minutes",
    "aws-sdk:personalize:createBatchInferenceJob": "batch_minutes",
}
"""Integrations that start a job without a function → the assumption that says how long it takes."""
_POLLS = frozenset(
    {
        *(name.replace(":create", ":describe") for name in JOBS),
        "aws-sdk:personalize:describeCampaign",
    }
)


FILTERING, COMPARING, RECOMMENDING = (
    "{} --task " + task for task in ("filter", "compare", "recommend")
)
"""How a run of the Spark job that does not extract is called here, by what it does."""


@dataclass(frozen=True)
class Walk:
    """A run as it would go.

    Attributes:
        visits: Number of visits of each state: the transitions that Step Functions bills.
        seconds: Duration of the run.
        assumed: What was assumed of Choices that cannot be foreseen, for example
            `'Good Enough?' goes on to 'Trigger Batch Inference'`.
    """

    visits: Counter[str]
    seconds: float
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One line of the bill for a run, or for a month of what costs all the time."""

    what: str
    quantity: float
    price: Price

    @property
    def usd(self) -> float:
        """US dollars for the quantity."""
        return self.quantity * self.price.usd


@dataclass(frozen=True)
class Estimate:
    """The cost of a run and of a month, with prices and assumptions.

    Attributes:
        lines: The bill of one run.
        runs_a_month: From the schedule; 0 without one.
        run_hours: Duration of a run.
        assumptions: The assumptions with their origins.
        region: The region that it is for.
        transitions: Number of transitions into each state.
        ways: What was assumed of Choices that cannot be foreseen.
        standing: The bill of a month of what costs all the time, whether there are runs or not.
        unpriced: States whose calls have a price that is not known, with what they call.
    """

    lines: tuple[Line, ...]
    runs_a_month: float
    run_hours: float
    assumptions: tuple[Assumption, ...]
    region: str
    transitions: Mapping[str, int] = field(default_factory=dict)
    ways: tuple[str, ...] = ()
    standing: tuple[Line, ...] = ()
    unpriced: tuple[str, ...] = ()

    @property
    def not_counted(self) -> str:
        """What the sums leave out, the states whose calls cannot be priced first."""
        states = f"what is called by {', '.join(self.unpriced)}; " if self.unpriced else ""
        return states + NOT_COUNTED

    @property
    def has_month(self) -> bool:
        """Whether a month costs anything."""
        return bool(self.runs_a_month or self.standing)

    @property
    def usd_a_run(self) -> float:
        """US dollars for one run."""
        return sum(line.usd for line in self.lines)

    @property
    def usd_a_month(self) -> float:
        """US dollars for the runs of a month, and what costs all the time."""
        return self.usd_a_run * self.runs_a_month + sum(line.usd for line in self.standing)


def assume(
    assumptions: Iterable[Assumption], values: Mapping[str, float | None], *, origin: str
) -> tuple[Assumption, ...]:
    """Return assumptions with some values replaced; None leaves one as it is."""
    known = {name: float(value) for name, value in values.items() if value is not None}
    return tuple(
        replace(assumption, value=known[assumption.name], origin=origin)
        if assumption.name in known
        else assumption
        for assumption in assumptions
    )


def walk(
    definition: Definition,
    seconds: Mapping[str, float],
    *,
    items: int,
    next_wait: NextWait,
    bounds: tuple[int, int] = (1, 900),
    users: float = 0,
) -> Walk:
    """Return the visits and the duration of a run that succeeds without a retry.

    A Choice goes by the status of the job that is polled; of any other the way on that can succeed
    is assumed, of several the one with the most states after it.

    Args:
        definition: In Amazon States Language.
        seconds: Duration of each task by its function's or Glue job's name, or by its integration;
            of the job that it starts, if it starts one that is polled later.
        items: Number of items of a Map whose list is not in the definition, that is of data sets.
        next_wait: The wait of the function `get-status`.
        bounds: Of the waits, in seconds, where no function computes them.
        users: Users in the batch inference job, by which the filter's Choice goes.

    Raises:
        CostError: If the run has no end, or a Choice none that succeeds.
    """
    walker = _Walker(seconds, items, next_wait, Endings.of(definition).doomed, bounds, users)
    walked = walker.through(Scope(definition))
    return replace(walked, assumed=tuple(dict.fromkeys(walker.assumed)))


@dataclass
class _Walker:
    seconds: Mapping[str, float]
    items: int
    next_wait: NextWait
    doomed: frozenset[str]
    bounds: tuple[int, int]
    users: float
    assumed: list[str] = field(default_factory=list)

    def through(self, scope: Scope) -> Walk:
        visits: Counter[str] = Counter()
        clock, begun, job_seconds, pause, status = 0.0, 0.0, 0.0, 0, ""
        name = scope.start
        for _ in range(_MOST_STEPS):
            state = scope.states.get(name)
            if state is None:
                raise CostError(f"'{name}' is no state of {scope}; 'retrain check' says more")
            visits[name] += 1
            payload = _payload(state)
            if inner := scope.inside(name):
                clock += self._inside(state, inner, visits, self._items(state, scope))
            elif state["Type"] == "Wait":
                fixed = state.get("Seconds")
                clock += fixed if isinstance(fixed, int | float) else pause
            elif "waitSeconds" in payload:  # starts a job
                begun, job_seconds, least = clock, self._duration(state), payload["waitSeconds"]
                expected = job_seconds if _expects(state) else None
                pause = self.next_wait(0.0, least, payload.get("maxSeconds", least), expected)
                status = "CREATE PENDING"
            elif "minSeconds" in payload:  # polls it
                waited = clock - begun
                status = "ACTIVE" if waited >= job_seconds else "CREATE IN_PROGRESS"
                expected = job_seconds if _expects(state) else None
                pause = self.next_wait(
                    waited, payload["minSeconds"], payload["maxSeconds"], expected
                )
            elif (called := asl.integration(state)) and called.name in JOBS:
                begun, job_seconds = clock, self._duration(state)
                pause, status = self.bounds[0], "CREATE PENDING"
            elif called and called.name in _POLLS:
                waited = clock - begun
                status = "ACTIVE" if waited >= job_seconds else "CREATE IN_PROGRESS"
                pause = self.next_wait(waited, *self.bounds, None)
            elif state["Type"] == "Task":
                clock += self._duration(state)
            elif state["Type"] == "Fail":
                raise CostError(f"'{name}' fails: no run that goes through it succeeds")
            if state.get("End") or state["Type"] == "Succeed":
                return Walk(visits, clock)
            name = self._next(name, state, scope, visits, status)
        raise CostError(f"more than {_MOST_STEPS:,} steps: raise polling.min_seconds")

    def _items(self, state: State, scope: Scope) -> int:
        """Return the number of items of a Map: of a Pass that names them, else of data sets."""
        if state["Type"] != "Map":
            return 1
        path, items = state.get("ItemsPath"), state.get("Items")
        for each in scope.states.values():
            if path and each["Type"] == "Pass" and each.get("ResultPath") == path:
                items = each.get("Result")
        return len(items) if isinstance(items, list) else self.items

    def _inside(
        self, state: State, inner: Sequence[Scope], visits: Counter[str], items: int
    ) -> float:
        """Count the visits inside a Map or Parallel, and return its duration in seconds."""
        walks = [self.through(scope) for scope in inner]
        for walk in walks:
            for name, count in walk.visits.items():
                visits[name] += count * items
        rounds = math.ceil(items / (state.get("MaxConcurrency") or items or 1))
        return rounds * max(walk.seconds for walk in walks)

    def _next(
        self, name: str, state: State, scope: Scope, visits: Counter[str], status: str
    ) -> str:
        """Return the state after one that succeeds."""
        rules = state.get("Choices", ())
        for rule in rules:
            for part in rule.get("And", ()):
                if part.get("Variable") == EXTRACTED:
                    return str(state["Default"])  # only a resumed run has data sets at its begin
                if part.get("Variable") == FILTER_SIZE and "NumericLessThanEquals" in part:
                    is_small = self.users <= part["NumericLessThanEquals"]
                    return str(rule["Next"] if is_small else state["Default"])
        foreseen = [rule for rule in rules if rule.get("StringEquals") in _STATUSES]
        if state["Type"] == "Choice" and not foreseen:
            return self._way_on(name, state, scope, visits)
        if len(foreseen) < len(rules):
            self.assumed.append(f"'{name}' goes by the job's status alone")
        return _by_status(name, state, status)

    def _way_on(self, name: str, state: State, scope: Scope, visits: Counter[str]) -> str:
        """Return the state to which a Choice that cannot be foreseen is assumed to lead."""
        targets = dict.fromkeys(way.target for way in asl.transitions(name, state))
        onward = [target for target in targets if target not in self.doomed]
        onward = [target for target in onward if not visits[target]] or onward
        if not onward:
            raise CostError(f"'{name}' leads to no end that succeeds; 'retrain check' says more")
        chosen = max(onward, key=lambda target: len(_reached(scope, target)))
        self.assumed.append(f"'{name}' goes on to '{chosen}'")
        return chosen

    def _duration(self, state: State) -> float:
        called = asl.integration(state)
        name = asl.function_name(state) or spark_job(asl.arguments(state))
        if called and called.name in {*JOBS, *billing.INSTANCE_JOBS}:
            name = called.name
        return self.seconds.get(name, 0.0)


_SPARK_OF_MODELS = ("--task recommend", "--task compare")
"""How the Spark jobs are called that have a line of their own in the cost: those of models."""


def spark_job(request: Mapping[str, Any]) -> str:
    """Return the Glue job that a request starts, and what it is to do besides extracting."""
    job, arguments = str(request.get("JobName", "")), request.get("Arguments")
    task = arguments.get("--task", "") if isinstance(arguments, Mapping) else ""
    return f"{job} --task {task}" if task else job


def _payload(state: State) -> Mapping[str, Any]:
    payload = asl.arguments(state).get("Payload")
    return payload if isinstance(payload, Mapping) else {}


def _expects(state: State) -> bool:
    """Return whether a task says how long its job will take, as it does from the second run on."""
    return "expected.$" in state.get("ResultSelector", {})


def _reached(scope: Scope, start: str) -> set[str]:
    """Return the states of a scope that can come after a state without an error, and itself."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in scope.states and name not in reached:
            reached.add(name)
            ways = asl.transitions(name, scope.states[name])
            waiting += [way.target for way in ways if way.type != "catch"]
    return reached


def _by_status(name: str, state: State, status: str) -> str:
    """Return the state after one that succeeds; a Choice goes by the status of the job."""
    for transition in asl.transitions(name, state):
        is_taken = transition.rule.get("StringEquals") == status
        if transition.type in {"default", "next"} or is_taken:
            return transition.target
    raise CostError(f"'{name}' leads nowhere when a job is {status}; 'retrain check' says more")


def estimate(
    config: Config,
    definition: Definition,
    prices: Mapping[str, Price],
    assumptions: Sequence[Assumption] | None = None,
    *,
    year: int,
    next_wait: NextWait,
    made: Walk | None = None,
) -> Estimate:
    """Return the cost of a run and of a month.

    Args:
        config: Workers, schedule, retention, polling.
        definition: The workflow's, in Amazon States Language.
        prices: From `workflow.runs.prices.load_prices`.
        assumptions: From `assumptions_for`, as they are if left out.
        year: The year in whose calendar the schedule's runs are counted.
        next_wait: The wait of the function `get-status`.
        made: Transitions and duration of a run that was made; computed if left out.

    Raises:
        CostError: If the number of transitions cannot be computed.
        ScheduleError: If the schedule cannot be read.
    """
    assumptions = assumptions_for(config) if assumptions is None else assumptions
    assumed = {assumption.name: assumption.value for assumption in assumptions}
    seconds, items = _task_seconds(config, assumed), len(config.data_sets)
    bounds = config.polling.min_seconds, config.polling.max_seconds
    run = made or walk(
        definition,
        seconds,
        items=items,
        next_wait=next_wait,
        bounds=bounds,
        users=assumed["users"],
    )
    visits = run.visits
    functions = {name: asl.function_name(state) for _, name, state in asl.states(definition)}
    filtering = config.function("filter-recommendations")
    calls = sum(visits[name] for name, function in functions.items() if function)
    filtered = sum(visits[name] for name, function in functions.items() if function == filtering)
    own = {config.function(name): settings.memory for name, settings in config.functions.items()}
    own_calls = {name: own[function] for name, function in functions.items() if function in own}
    gigabyte_seconds = (
        filtered * seconds[filtering] * assumed["filter_gigabytes"]
        + (calls - filtered - sum(visits[name] for name in own_calls))
        * assumed["call_seconds"]
        * assumed["function_gigabytes"]
        + sum(
            visits[name] * assumed["call_seconds"] * megabytes / _MEGABYTES_IN_A_GIGABYTE
            for name, megabytes in own_calls.items()
        )
    )
    billed = billing.billed(config, definition, visits)
    workers = config.etl.workers * DPU_OF_A_WORKER[config.etl.worker_type]
    spark_seconds: dict[str, float] = {}
    for _, name, state in asl.states(definition):
        if visits[name] and billing.is_spark_job(config, state):
            job = spark_job(asl.arguments(state))
            what = f"Glue, {name}" if job.endswith(_SPARK_OF_MODELS) else "Glue"
            # Glue bills a minute at least. How long a task takes with no assumption is not known.
            took = max(seconds.get(job, seconds[config.glue_job]), 60)
            spark_seconds[what] = spark_seconds.get(what, 0.0) + took
    monthly = (
        runs_a_month(config.schedule.expression, year=year)
        if config.schedule and config.schedule.enabled
        else 0.0
    )
    measured = {each.name for each in assumptions if each.origin.startswith("run ")}

    def of_each(name: str, what: str) -> float:
        """Return an assumed quantity for each job; that of a run is of all its jobs already."""
        return assumed[name] * (1 if name in measured else billed[what])

    quantities = (
        ("Step Functions", visits.total(), "state_transition", True),
        *(
            (what, workers * of_them / 3_600, "glue_dpu_hour", billed[SPARK])
            for what, of_them in spark_seconds.items()
        ),
        ("Personalize, imports", assumed["gigabytes"], "personalize_ingested_gb", billed[IMPORT]),
        (
            "Personalize, training",
            of_each("training_hours", TRAINING),
            "personalize_training_hour",
            billed[TRAINING],
        ),
        ("Personalize, batch", of_each("users", BATCH), "personalize_batch_user", billed[BATCH]),
        ("Lambda, calls", billed[FUNCTION], "lambda_request", billed[FUNCTION]),
        ("Lambda, time", gigabyte_seconds, "lambda_gb_second", billed[FUNCTION]),
        (
            "S3",
            assumed["stored_gigabytes"] * _months_kept(config, monthly),
            "s3_gb_month",
            billed[SPARK] or billed[BATCH],
        ),
    )
    provisioned = sum(campaign.min_provisioned_tps for campaign in config.campaigns.values())
    tps_hours = Line(
        "Personalize, campaigns",
        provisioned * DAYS_IN_A_MONTH * 24,
        prices["personalize_tps_hour"],
    )
    on_instances = (
        Line(
            f"SageMaker, {job.state}",
            job.instances * assumed[job.minutes] / 60,
            prices[job.instance_type],
        )
        for job in billing.instance_jobs(definition)
        if visits[job.state] and job.instance_type in prices and job.minutes in assumed
    )
    return Estimate(
        lines=(
            *(
                Line(what, number, prices[price])
                for what, number, price, is_called in quantities
                if is_called
            ),
            *on_instances,
        ),
        runs_a_month=monthly,
        run_hours=run.seconds / 3_600,
        assumptions=tuple(assumptions),
        region=config.aws.region,
        transitions=dict(visits),
        ways=run.assumed,
        standing=(tps_hours,) if billed[CAMPAIGN] else (),
        unpriced=billing.unpriced(config, definition, Endings.of(definition).doomed, prices),
    )


def _months_kept(config: Config, runs_a_month: float) -> float:
    """Return how long a run's files are kept: until they are too old, or enough runs came later."""
    months = config.aws.run_retention_days / DAYS_IN_A_MONTH
    if config.retention is None or not runs_a_month:
        return months
    return min(months, config.retention.runs / runs_a_month)


def _task_seconds(config: Config, assumed: Mapping[str, float]) -> dict[str, float]:
    above, filter_seconds = config.filter.spark_above, assumed["filter_minutes"] * 60
    if above is not None and (above == 0 or assumed["users"] > above):
        filter_seconds = assumed["call_seconds"]  # it publishes what the Spark job has filtered
    return {
        config.glue_job: assumed["etl_minutes"] * 60,
        FILTERING.format(config.glue_job): assumed["spark_filter_minutes"] * 60,
        COMPARING.format(config.glue_job): assumed["compare_minutes"] * 60,
        RECOMMENDING.format(config.glue_job): assumed.get("als_minutes", 0.0) * 60,
        **{config.function(name): assumed["call_seconds"] for name in config.function_names},
        config.function("update-campaign"): assumed["campaign_minutes"] * 60,
        config.function("create-import-job"): assumed["import_minutes"] * 60,
        config.function("create-solution-version"): assumed["training_minutes"] * 60,
        config.function("create-batch-inference-job"): assumed["batch_minutes"] * 60,
        config.function("filter-recommendations"): filter_seconds,
        **{integration: assumed[minutes] * 60 for integration, minutes in JOBS.items()},
        **{
            integration: assumed.get(minutes, 0.0) * 60
            for integration, (minutes, _) in billing.INSTANCE_JOBS.items()
        },
    }


def assumption_values(texts: Iterable[str]) -> dict[str, float]:
    """Read `NAME=VALUE` for assumptions.

    Raises:
        CostError: If a name is unknown, or a value is no number of 0 or more.
    """
    known = [assumption.name for assumption in ASSUMPTIONS]
    values = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            hint = suggestion(name, known, otherwise=f"known: {', '.join(known)}")
            raise CostError(f"--assume {text}: there is no assumption '{name}'; {hint}")
        try:
            values[name] = float(value)
        except ValueError:
            values[name] = math.nan
        if not 0 <= values[name] < math.inf:
            raise CostError(f"--assume {text}: write a number, for example {name}=2.5")
    return values


def columns(estimate: Estimate) -> tuple[str, ...]:
    """Return the titles of the columns of `rows`."""
    titles = ("what", "a run uses", "price", "a run")
    return (*titles, "a month") if estimate.has_month else titles


def rows(estimate: Estimate) -> list[tuple[str, ...]]:
    """Return an estimate's lines as texts, and their sum.

    Returns:
        Of each line the service, the quantity, its price with a star if that is not verified, and
        US dollars for a run, and for a month where there is a schedule, or something costs all
        the time.
    """
    lines: list[tuple[str, ...]] = [
        (
            line.what,
            f"{_quantity(line.quantity)} {line.price.per}",
            _price(line.price),
            f"{line.usd:,.4f}",
            f"{line.usd * estimate.runs_a_month:,.2f}",
        )
        for line in estimate.lines
    ]
    lines += [
        (
            line.what,
            f"{_quantity(line.quantity)} {line.price.per}/month",
            _price(line.price),
            "",
            f"{line.usd:,.2f}",
        )
        for line in estimate.standing
    ]
    total = "sum", "", "", f"{estimate.usd_a_run:,.4f}", f"{estimate.usd_a_month:,.2f}"
    return [row[: len(columns(estimate))] for row in (*lines, total)]


def _price(price: Price) -> str:
    return f"{price.usd:.10f}".rstrip("0") + ("" if price.verified else " *")


def price_notes(estimate: Estimate) -> list[tuple[str, str, str]]:
    """Return where the prices are from: of each, once, its name, a note, and its source.

    Returns:
        For example `glue_dpu_hour`, `us-east-1, 2026-11-24 *`, and the page; a star if it is not
        verified.
    """
    prices = dict.fromkeys(line.price for line in (*estimate.lines, *estimate.standing))
    return [
        (
            price.name,
            f"{price.region or 'any region'}, {price.date}" + ("" if price.verified else " *"),
            price.source,
        )
        for price in prices
    ]


def star_note(estimate: Estimate) -> str:
    """Return what the star of a price means; empty if none has one."""
    lines = (*estimate.lines, *estimate.standing)
    unverified = [line.price for line in lines if not line.price.verified]
    if not unverified:
        return ""
    foreign = any(price.region == BASE_REGION != estimate.region for price in unverified)
    stands_in = f", or {BASE_REGION}'s, where {estimate.region}'s own is unknown" if foreign else ""
    return f"* not verified{stands_in}: check it, and give your own by --prices"


def _quantity(quantity: float) -> str:
    return f"{quantity:,.4g}" if quantity < 1_000 else f"{quantity:,.0f}"


def as_json(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON values."""
    return {
        "usdARun": estimate.usd_a_run,
        "usdAMonth": estimate.usd_a_month if estimate.has_month else None,
        "runsAMonth": estimate.runs_a_month or None,
        "runHours": estimate.run_hours,
        "lines": [_line_as_json(line) for line in estimate.lines],
        "standing": [_line_as_json(line) for line in estimate.standing],
        "transitions": dict(estimate.transitions),
        "ways": list(estimate.ways),
        "assumptions": [asdict(assumption) for assumption in estimate.assumptions],
        "region": estimate.region,
        "notCounted": estimate.not_counted,
        "unpriced": list(estimate.unpriced),
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    return {
        "what": line.what,
        "quantity": line.quantity,
        "usd": line.usd,
        "price": asdict(line.price),
    }
