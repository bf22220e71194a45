"""The order of stages: what each needs from those before it, and what a configuration asks for.

`STAGES` says it, one row for each stage; `order_faults` compares a graph with it. What counts are
the ways through the graph, so that States, Chains, Choices, Maps and Parallels may stand between
stages. A state that has the name of a stage's state stands for the stage, and one that puts a value
at a path for the stage that leaves one there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workflow.config import Config
from workflow.definition.asl import Definition, Scope, State, arguments, scopes
from workflow.definition.parts.best_model import TRAIN_EACH
from workflow.definition.parts.own_model import MAKE_LISTS, TRAIN
from workflow.definition.parts.publication import OUTPUT
from workflow.definition.parts.recommenders import EACH
from workflow.definition.reachability import after, beside, from_start
from workflow.definition.recommender import ITEM
from workflow.definition.stage import JOB, StageStates
from workflow.options.models import BEST


@dataclass(frozen=True)
class Placed:
    """What one stage needs from others, which are named by their titles.

    Attributes:
        method: The method of `Stages` that makes it.
        state: The state by whose name one of a team's own stands for the stage.
        leaves: The path at which it leaves what others need; empty where that is in the bucket.
        needs: Stage → what it takes from that one, without which it fails: on every way to it.
        needs_with: The same of a stage that a table of the configuration adds, by that table.
        follows: Stage → why it does nothing of use unless that one ran before.
        precedes: Stage → why it is too late after that one, where both are there.
        is_repeated: Whether `recommenders` can repeat it.
    """

    method: str
    state: str
    leaves: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    needs_with: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    precedes: Mapping[str, str] = field(default_factory=dict)
    is_repeated: bool = False


_BEFORE_THE_END = {"Recommenders": "it is left out then if a recommender failed"}

STAGES: Mapping[str, Placed] = {
    "Begin": Placed("begin()", "Begin Run"),
    "Plan Increment": Placed("plan_increment()", "Plan Increment", leaves="$.increment"),
    "ETL": Placed(
        "etl()",
        "ETL",
        needs_with={"increments": {"Plan Increment": "its job reads what $.increment says"}},
    ),
    "Imports": Placed(
        "imports()",
        "List Datasets",
        leaves="$.trainingMode",
        needs={"ETL": "it imports what the Spark job's manifest names"},
        precedes={"Training": "the version is trained on what was imported before"},
    ),
    "Training": Placed(
        "training()",
        "Create Solution Version",
        leaves=JOB,
        needs_with={"increments": {"Imports": "it trains as $.increment and $.trainingMode say"}},
        is_repeated=True,
    ),
    "Quality Gate": Placed(
        "quality_gate()",
        "Judge Solution Version",
        needs={"Training": f"it judges the solution version at {JOB}"},
        precedes={"Batch Inference": "the lists are made by a version that nobody has judged"},
        is_repeated=True,
    ),
    "Batch Inference": Placed(
        "batch_inference()",
        "Trigger Batch Inference",
        leaves=JOB,
        needs={
            "ETL": "its input is what the Spark job wrote",
            "Training": f"it infers with the solution version at {JOB}",
        },
        is_repeated=True,
    ),
    "Best Model": Placed(
        "best()",
        TRAIN_EACH,
        leaves=OUTPUT,
        needs={"ETL": "models learn from what the Spark job wrote, and are compared by it"},
    ),
    "Publish": Placed(
        "publish()",
        "Filter Recommended Item",
        leaves=JOB,
        needs={"Batch Inference": f"it publishes the output of the batch inference job at {JOB}"},
        needs_with={"compared": {"Best Model": "it publishes the lists of the best model"}},
        is_repeated=True,
    ),
    "Each Recommender": Placed("recommenders()", EACH),
    "Campaigns": Placed(
        "campaigns()",
        "Name Campaigns",
        follows={"Publish": "campaigns follow the list that is published"},
        precedes=_BEFORE_THE_END,
    ),
    "Delivery": Placed(
        "deliver()",
        "Deliver Recommendations",
        follows={"Publish": "it delivers the list that the run has published"},
        precedes=_BEFORE_THE_END,
    ),
    "Clean Up": Placed(
        "clean_up()",
        "Clean Up Old Runs",
        follows={"Publish": "it deletes what is old once a list is published"},
        precedes=_BEFORE_THE_END,
    ),
    "Recommenders": Placed(
        "all_published()",
        "All Recommenders Published?",
        follows={
            "Each Recommender": "it asks which of them failed",
            "Publish": "it asks whether each has published its list",
        },
    ),
}
"""Each stage by its title, in the order of the packaged workflow."""


def order_faults(
    config: Config, definition: Definition, stages: Sequence[StageStates]
) -> Iterator[str]:
    """Yield what a graph lacks, and which of its stages stand where they cannot do their work.

    Args:
        config: Whose tables ask for stages.
        definition: The graph.
        stages: Those that it was made of.
    """
    graph = _Graph(config, definition, stages)
    yield from graph.missing()
    yield from graph.misplaced()
    yield from graph.late_begin()
    for stage in graph.stages:
        yield from graph.unmet_needs(stage)
        yield from graph.out_of_order(stage)


class _Graph:
    def __init__(
        self, config: Config, definition: Definition, stages: Sequence[StageStates]
    ) -> None:
        self._config = config
        self._scopes = tuple(scopes(definition))
        self._scope = {name: scope for scope in self._scopes for name in scope.states}
        self.stages = [stage for stage in stages if stage.title in STAGES]
        # What those of a model leave counts as a state's own; what is inside others leaves nothing.
        known = (
            stage.states
            for stage in stages
            if stage.title in STAGES or self._scope[stage.entry].parent
        )
        self._of_stages = frozenset[str]().union(*known)

    def _names(self, title: str) -> list[str]:
        """Return the states with which a stage, or what stands for it, begins."""
        entries = [stage.entry for stage in self.stages if stage.title == title]
        own = STAGES[title].state
        is_own = own in self._scope and own not in self._of_stages
        return [*entries, own] if is_own else entries

    def _states(self, title: str) -> frozenset[str]:
        """Return all states of a stage, or what stands for it."""
        states = (stage.states for stage in self.stages if stage.title == title)
        return frozenset(self._names(title)).union(*states)

    def _state(self, name: str) -> State:
        return self._scope[name].states[name]

    def _is_inside(self, name: str) -> bool:
        """Return whether `recommenders` repeats a state."""
        return EACH in self._scope[name].address

    def _method(self, title: str, near: str) -> str:
        """Return how a stage is made, where it belongs to the same part as a state."""
        is_each = STAGES[title].is_repeated and self._is_inside(near)
        return f"stages.{'each.' if is_each else ''}{STAGES[title].method}"

    def missing(self) -> Iterator[str]:
        """Yield what a table of the configuration asks for, and no part does."""
        for table, title, stage in _asked(self._config):
            if not self._names(title):
                yield f"{table} needs stages.{stage}; add it there, or leave the table out"
        model, is_best = self._config.publish.model, bool(self._config.compared)
        for name in self._config.models if is_best else filter(None, [model]):
            for state, method in ((TRAIN, "own_training"), (MAKE_LISTS, "own_inference")):
                if state.format(name) not in self._scope:
                    published = BEST if is_best else model
                    yield f'[publish] from = "{published}" needs stages.{method}("{name}"); add it'

    def misplaced(self) -> Iterator[str]:
        """Yield what is not for each recommender and is repeated, or is and is not."""
        for stage in self.stages:
            placed, is_inside = STAGES[stage.title], self._is_inside(stage.entry)
            names = [name for name in stage.states if name in self._scope]
            is_each = any(_takes_item(self._state(name)) for name in names)
            shared, each = f"stages.{placed.method}", f"stages.each.{placed.method}"
            if is_inside and not placed.is_repeated:
                yield (
                    f"{shared} stands inside stages.recommenders(…), which would repeat it for each"
                    " recommender; put it outside"
                )
            elif is_inside and not is_each:
                yield (
                    f"{shared} inside stages.recommenders(…) has the settings of the first"
                    f" recommender, whichever is its turn; write {each}"
                )
            elif is_each and not is_inside:
                yield (
                    f"{each} stands outside of stages.recommenders(…), where {ITEM} is not there;"
                    f" put it inside, or write {shared}"
                )
        for name in self._scope.keys() - self._of_stages:
            if _takes_item(self._state(name)) and not self._is_inside(name):
                yield (
                    f"'{name}' is made by stages.each and stands outside of stages.recommenders(…),"
                    f" where {ITEM} is not there; put it inside, or make it by stages"
                )

    def late_begin(self) -> Iterator[str]:
        """Yield the first stage that a run can reach before it has taken the lock."""
        early = from_start(self._scopes[0], self._states("Begin"))
        for stage in self.stages:
            if stage.title != "Begin" and stage.entry in early:
                yield (
                    f"stages.begin() comes after {self._method(stage.title, stage.entry)}, or a way"
                    " leads past it: a run takes its lock before any other stage; put it first, or"
                    " leave it out, and it is put first"
                )
                return

    def unmet_needs(self, stage: StageStates) -> Iterator[str]:
        """Yield the stages on which one depends, and past which a way leads to it."""
        placed = STAGES[stage.title]
        needs = dict(placed.needs)
        for table, more in placed.needs_with.items():
            needs |= more if getattr(self._config, table) else {}
        for needed, why in needs.items():
            this, that = (self._method(title, stage.entry) for title in (stage.title, needed))
            path = STAGES[needed].leaves
            if stage.entry in self._without(needed):
                or_own = f", or a state of yours with result_path {path}" if path else ""
                yield (
                    f"{this} needs {that} before it, on every way to '{stage.entry}': {why}; put it"
                    f" there{or_own}"
                )
                continue
            for other, name in self._replacing(needed):
                if name == stage.entry:
                    continue  # it creates its next job anew, of what the failed one was made of
                if stage.entry in after(self._scope[name], name, self._leaving(needed)):
                    yield (
                        f"{this} comes after {self._method(other, name)}, whose job is at {path}"
                        f" then: {why}; put it behind {that}"
                    )

    def _leaving(self, title: str) -> frozenset[str]:
        """Return the states of a stage, and those that may put something where it leaves it."""
        path, own = STAGES[title].leaves, self._scope.keys() - self._of_stages
        writing = (name for name in own if path and _may_write(self._state(name), path))
        return self._states(title).union(writing)

    def _without(self, title: str) -> set[str]:
        """Return the states that a run can reach without what a stage leaves.

        Where that is in the data, what a Map repeats begins without it, as it gets an item alone.
        """
        begun = self._scopes[:1]
        if STAGES[title].leaves:
            begun += tuple(each for each in self._scopes if _gets_an_item(each))
        leaving = self._leaving(title)
        return set[str]().union(*(from_start(scope, leaving) for scope in begun))

    def _replacing(self, title: str) -> Iterator[tuple[str, str]]:
        """Yield the stages that replace what a stage leaves, each with the state that it begins."""
        for other, placed in STAGES.items():
            if other != title and placed.leaves and placed.leaves == STAGES[title].leaves:
                yield from ((other, name) for name in self._names(other))

    def out_of_order(self, stage: StageStates) -> Iterator[str]:
        """Yield the stages that a stage follows and that do not come before it, or the reverse."""
        placed, name = STAGES[stage.title], stage.entry
        this = self._method(stage.title, name)
        for other, why in placed.follows.items():
            if not any(name in self._after(before) for before in self._names(other)):
                that = self._method(other, (self._names(other) or [name])[0])
                yield f"{this} needs {that} before it: {why}; put it there"
        for other, why in placed.precedes.items():
            for later in self._names(other):
                is_late = name in self._after(later) or name in beside(self._scope[later])
                if is_late and later not in self._after(name):
                    that = self._method(other, later)
                    yield f"{this} does not come before {that}: {why}; put it there"

    def _after(self, name: str) -> set[str]:
        return after(self._scope[name], name)


def _asked(config: Config) -> Iterator[tuple[str, str, str]]:
    """Yield the tables that ask for a stage: table, title, the stage and where it belongs."""
    asked = (
        ("[increments]", config.increments, "Plan Increment", "plan_increment() before"
         " stages.etl()"),
        ("[backtest]", config.backtest, "ETL", "etl(), whose Spark job measures it"),
        ("[recommenders]", config.recommenders, "Each Recommender", "recommenders() in place of"
         " stages.training(), batch_inference() and publish()"),
        ("[recommenders]", config.recommenders, "Recommenders", "all_published() at the end"),
        ("[filter] spark_above", config.filter.spark_above is not None, "Publish", "publish() after"
         " stages.batch_inference()"),
        (f'[publish] from = "{BEST}"', config.compared, "Best Model", "best() before"
         " stages.publish()"),
        ("[campaigns]", config.campaigns, "Campaigns", "campaigns() after stages.publish()"),
        ("[delivery]", config.delivery, "Delivery", "deliver() after stages.publish()"),
        ("[retention]", config.retention, "Clean Up", "clean_up() after stages.publish()"),
    )  # fmt: skip
    for table, is_there, title, stage in asked:
        if is_there:
            yield table, title, stage
    for each in config.each_recommender:
        if each.gate:
            table = f"recommenders.{each.recommender}.gate" if each.recommender else "gate"
            gate = "quality_gate() after stages.training()"
            yield (
                f"[{table}]",
                "Quality Gate",
                "each.quality_gate() after stages.each.training(), in stages.recommenders(…)"
                if config.recommenders
                else gate,
            )


def _takes_item(state: State) -> bool:
    """Return whether a state's request says whose it is by the item of `recommenders`."""
    request = arguments(state)
    payload = request.get("Payload", request)
    return isinstance(payload, Mapping) and payload.get("recommender.$") == f"{ITEM}.name"


def _gets_an_item(scope: Scope) -> bool:
    """Return whether a Map repeats a scope for its items as they are, and selects nothing else."""
    if scope.parent is None or scope.branch:
        return False
    return not {"ItemSelector", "Parameters"} & scope.parent.states[scope.container].keys()


def _may_write(state: State, path: str) -> bool:
    """Return whether a state may put something at a path: there, or in data that it makes anew."""
    if state.get("Type") not in {"Task", "Pass", "Map", "Parallel"}:
        return False
    if "ResultPath" in state:
        return bool(state["ResultPath"] == path)
    name = path.removeprefix("$.")
    return "OutputPath" in state or name in json.dumps(state, default=str)
