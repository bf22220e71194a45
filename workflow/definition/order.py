"""The order of stages: what each needs from those before it, and what a configuration asks for.

`STAGES` says it, one row for each stage; `order_faults` compares a graph with it. What counts are
the ways through the graph, so that States, Chains, Choices, Maps and Parallels may stand between
stages, and what is in the data on each of them (`origins`). A state that has the name of a stage's
state stands for the stage, and one that puts a value at a path for the stage that leaves one there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workflow.config import Config
from workflow.definition.asl import Definition, State, arguments, scopes
from workflow.definition.origins import Origin, Owner, origins
from workflow.definition.parts.best_model import TRAIN_EACH
from workflow.definition.parts.own_model import MAKE_LISTS, TRAIN
from workflow.definition.parts.publication import OUTPUT
from workflow.definition.parts.recommenders import EACH, OUTCOMES
from workflow.definition.reachability import after, beside
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
        with_it: A second one, which they need too.
        stands_for: The stage in whose place others find there what it leaves.
        needs: Stage → what it takes from that one, without which it fails: on every way to it.
        needs_with: The same of a stage that a table of the configuration adds, by that table.
        follows: Stage → why it does nothing of use unless that one ran before: on every way to it.
        precedes: Stage → why it is too late after that one, where both are there.
        is_repeated: Whether `recommenders` can repeat it.
    """

    method: str
    state: str
    leaves: str = ""
    with_it: str = ""
    stands_for: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    needs_with: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    precedes: Mapping[str, str] = field(default_factory=dict)
    is_repeated: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths at which it leaves what others need."""
        return tuple(path for path in (self.leaves, self.with_it) if path)


_ADDED = {"increments": "Plan Increment", "gate": "Quality Gate"}
"""The stages that tables of `needs_with` add, and for which they ask."""
_BEFORE_THE_END = {"Recommenders": "it is left out then if a recommender failed"}

STAGES: Mapping[str, Placed] = {
    "Begin": Placed("begin()", "Begin Run", leaves="$.begin"),
    "Plan Increment": Placed("plan_increment()", "Plan Increment", leaves="$.increment"),
    "ETL": Placed(
        "etl()",
        "ETL",
        needs={"Begin": "a resumed run does not extract again what it has"},
        needs_with={"increments": {"Plan Increment": "its job reads what $.increment says"}},
    ),
    "Imports": Placed(
        "imports()",
        "List Datasets",
        leaves="$.trainingMode",
        with_it="$.increment",
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
        leaves=JOB,
        stands_for="Training",
        needs={"Training": f"it judges the solution version at {JOB}"},
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
        needs_with={
            "gate": {"Quality Gate": "a version that nobody has judged would make the lists"}
        },
        is_repeated=True,
    ),
    "Best Model": Placed(
        "best()",
        TRAIN_EACH,
        leaves=OUTPUT,
        stands_for="Batch Inference",
        needs={"ETL": "models learn from what the Spark job wrote, and are compared by it"},
    ),
    "Publish": Placed(
        "publish()",
        "Filter Recommended Item",
        leaves=JOB,
        needs={"Batch Inference": f"it publishes the output of the batch inference job at {JOB}"},
        needs_with={"compared": {"Best Model": "it publishes the lists of the best model"}},
        precedes={"Clean Up": "what is old is deleted once a list is published"},
        is_repeated=True,
    ),
    "Each Recommender": Placed("recommenders()", EACH, leaves=OUTCOMES),
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
        precedes=_BEFORE_THE_END,
    ),
    "Recommenders": Placed(
        "all_published()",
        "All Recommenders Published?",
        needs={"Each Recommender": "it asks which of them failed"},
        follows={"Publish": "it asks whether each has published its list"},
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
        self._of_stages = frozenset[str]().union(*(stage.states for stage in stages))
        self._rows = {**STAGES, **_models(config)}
        self.stages = [stage for stage in stages if stage.title in self._rows]
        places = {*self._rows, ITEM}.union(*(row.paths for row in self._rows.values()))
        owners = dict(self._owners(stages))
        self._origins = origins(self._scopes[0], owners, sorted(places), of_items=ITEM)

    def _owners(self, stages: Sequence[StageStates]) -> Iterator[tuple[str, Owner]]:
        """Yield each state that belongs to a stage, or stands for one, with that stage."""
        for stage in stages:
            leaves = self._rows[stage.title].paths if stage.title in self._rows else (JOB,)
            for name in stage.states:
                yield name, Owner(stage.title, stage.entry, leaves)
        for title, placed in self._rows.items():
            if placed.state in self._scope and placed.state not in self._of_stages:
                yield placed.state, Owner(title, placed.state, placed.paths, is_own=True)

    def _names(self, title: str) -> list[str]:
        """Return the states with which a stage, or what stands for it, begins."""
        entries = [stage.entry for stage in self.stages if stage.title == title]
        own = self._rows[title].state
        is_own = own in self._scope and own not in self._of_stages
        return [*entries, own] if is_own else entries

    def _state(self, name: str) -> State:
        return self._scope[name].states[name]

    def _is_inside(self, name: str) -> bool:
        """Return whether `recommenders` repeats a state."""
        return EACH in self._scope[name].address

    def _method(self, title: str, near: str) -> str:
        """Return how a stage is made, where it belongs to the same part as a state."""
        is_each = self._rows[title].is_repeated and self._is_inside(near)
        return f"stages.{'each.' if is_each else ''}{self._rows[title].method}"

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
            placed, is_inside = self._rows[stage.title], self._is_inside(stage.entry)
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
            elif is_each and is_inside:
                for lost in self._others(stage.entry, ITEM):
                    yield (
                        f"'{lost.state}' leaves {ITEM} out of the data, by which {each} knows whose"
                        " turn it is; give it a result_path of its own, or null"
                    )
            elif is_each:
                yield (
                    f"{each} stands outside of stages.recommenders(…), where {ITEM} is not there;"
                    f" put it inside, or write {shared}"
                )
        for name in self._scope.keys() - self._of_stages:
            if _takes_item(self._state(name)) and self._others(name, ITEM):
                yield (
                    f"'{name}' is made by stages.each and stands outside of stages.recommenders(…),"
                    f" where {ITEM} is not there; put it inside, or make it by stages"
                )

    def late_begin(self) -> Iterator[str]:
        """Yield the first stage that a run can reach before it has taken the lock."""
        for stage in self.stages:
            if stage.title != "Begin" and self._others(stage.entry, "Begin", "Begin"):
                yield (
                    f"stages.begin() comes after {self._method(stage.title, stage.entry)}, or a way"
                    " leads past it: a run takes its lock before any other stage; put it first, or"
                    " leave it out, and it is put first"
                )
                return

    def unmet_needs(self, stage: StageStates) -> Iterator[str]:
        """Yield the stages on which one depends, and past which a way leads to it."""
        placed = self._rows[stage.title]
        needs = dict(placed.needs)
        for table, more in placed.needs_with.items():
            needs |= more if self._has(table) else {}
        for needed, why in needs.items():
            for path in self._rows[needed].paths or (needed,):
                if others := self._others(stage.entry, path, needed):
                    yield from self._not_there(stage, needed, path, others, why)
                    break

    def _not_there(
        self, stage: StageStates, needed: str, path: str, others: Sequence[Origin], why: str
    ) -> Iterator[str]:
        """Yield who has put something else where a stage finds what another one leaves."""
        earlier = {self._rows[needed].stands_for, *self._rows[needed].needs}
        if any(not each.state or (each.stage and each.stage in earlier) for each in others):
            yield self._unmet(stage, needed, why)
            return
        this, that = (self._method(title, stage.entry) for title in (stage.title, needed))
        for other in others:
            if other.is_lost:
                yield (
                    f"'{other.state}' leaves {path} out of the data, which {this} needs of {that}:"
                    f" {why}; give it a result_path of its own, or null"
                )
            else:
                yield (
                    f"{this} comes after {self._method(other.stage, other.state)}, whose job is at"
                    f" {path} then: {why}; put it behind {that}"
                )

    def _unmet(self, stage: StageStates, needed: str, why: str) -> str:
        """Return that a way leads to a stage on which nothing has done what it needs."""
        this, that = (self._method(title, stage.entry) for title in (stage.title, needed))
        path, around = self._rows[needed].leaves, self._scope[stage.entry].address
        inside = [
            self._scope[name]
            for name in self._names(needed)
            if self._scope[name].address != around[: len(self._scope[name].address)]
        ]
        or_own = f", or a state of yours with result_path {path}" if path else ""
        if path and inside:
            or_own += f"; what it leaves inside '{inside[0].container}' is not outside of it"
        return (
            f"{this} needs {that} before it, on every way to '{stage.entry}': {why}; put it there"
            f"{or_own}"
        )

    def _has(self, table: str) -> bool:
        """Return whether the configuration has a table, of any recommender, and its stages."""
        added = _ADDED.get(table)
        if added and not self._names(added):
            return False  # which is told by itself
        return any(getattr(each, table) for each in self._config.each_recommender)

    def _others(self, name: str, place: str, meant: str = "") -> list[Origin]:
        """Return who but a stage, or a state of one's own, may have put what a state finds."""
        return sorted(
            each
            for each in self._origins.get(name, {}).get(place, ())
            if each.is_lost or not each.state or not self._stands_for(each.stage, meant)
        )

    def _stands_for(self, title: str, meant: str) -> bool:
        """Return whether what a stage leaves is what is meant; what one's own state leaves is."""
        return title not in self._rows or meant in {title, self._rows[title].stands_for}

    def out_of_order(self, stage: StageStates) -> Iterator[str]:
        """Yield the stages that a stage follows and that do not come before it, or the reverse."""
        placed, name = self._rows[stage.title], stage.entry
        this = self._method(stage.title, name)
        for other, why in placed.follows.items():
            if self._others(name, other, other):
                befores = [before for before in self._names(other) if name in self._after(before)]
                that = self._method(other, (self._names(other) or [name])[0])
                every = f", on every way to '{name}'" if befores else ""
                yield f"{this} needs {that} before it{every}: {why}; put it there"
        for other, why in placed.precedes.items():
            for later in self._names(other):
                is_late = name in self._after(later) or name in beside(self._scope[later])
                if is_late and later not in self._after(name):
                    that = self._method(other, later)
                    yield f"{this} does not come before {that}: {why}; put it there"

    def _after(self, name: str) -> set[str]:
        return after(self._scope[name], name)


def _models(config: Config) -> Mapping[str, Placed]:
    """Return the rows of a configuration's own models."""
    rows = {}
    for name in config.models:
        training, lists = f"Training of {name}", f"Lists of {name}"
        rows[training] = Placed(
            f'own_training("{name}")',
            TRAIN.format(name),
            leaves=JOB,
        )
        rows[lists] = Placed(
            f'own_inference("{name}")',
            MAKE_LISTS.format(name),
            leaves=JOB,
            stands_for="Batch Inference",
            needs={training: f"it makes lists by the model at {JOB}"},
        )
    return rows


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
