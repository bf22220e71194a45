"""Stages that stand where they cannot do their work are refused; all other orders are taken."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.projects import project
from tests.workflow.options.test_models import best
from tests.workflow.options.test_recommenders import SIMILAR, with_recommenders
from workflow import Stages, parse_config
from workflow.definition.graph import build, retraining_graph
from workflow.definition.order import STAGES
from workflow.definition.render import render_definition
from workflow.errors import StructureError
from workflow.sdk import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    LambdaStep,
    Map,
    Parallel,
    Pass,
    Succeed,
    Wait,
)

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
ODD = ChoiceRule.IsPresent("$.odd", value=True)
GATE = "metrics = { coverage = { minimum = 0.1 } }\n"
TABLES = {
    "backtest": "[backtest]\n",
    "campaigns": "[campaigns.live]\n",
    "delivery": '[delivery]\nto = "database"\ntable = "shop.lists"\n',
    "gate": f"[gate]\n{GATE}",
    "increments": '[increments]\nwatermark = "created_at"\n',
    "notification": "[notification]\n",
    "retention": "[retention]\n",
    "sdk": '[workflow]\nintegration = "sdk"\n',
}
Parts = Callable[[Stages], Sequence[Any]]


def stages_of(tables: str = "", text: str = EXAMPLE) -> Stages:
    return Stages(parse_config(text + "".join(f"\n{TABLES[name]}" for name in tables.split())))


def several(*tables: str) -> Stages:
    return Stages(parse_config(with_recommenders(SIMILAR, *tables)))


def faults(stages: Stages, parts: Parts) -> tuple[str, ...]:
    with pytest.raises(StructureError) as raised:
        stages.compose(*parts(stages))
    return raised.value.faults


def named(names: str, **own: Any) -> Parts:
    """Return the parts of these names: methods of `Stages`, `each` as a whole, or one's own."""
    return lambda s: [own[name] if name in own else getattr(s, name)() for name in names.split()]


def choice(name: str, target: Any, *, default: Any = None) -> Choice:
    step = Choice(name)
    step.add_choice(ODD, target)
    if default is not None:
        step.default_choice(default)
    return step


def both(*branches: Any, **fields: Any) -> Parallel:
    step = Parallel("Both", **(fields or {"result_path": "$.both"}))
    for branch in branches:
        step.add_branch(branch)
    return step


def carrying(*branches: Any) -> Parallel:
    """Return branches of which the first one's job goes on."""
    return both(*branches, result_selector={"job.$": "$[0].job"})


def judged_inside(s: Stages, around: Callable[..., Parallel]) -> list[Any]:
    return [s.training(), around(s.quality_gate(), Pass("Own"))]


def trained_and_told(s: Stages) -> list[Any]:
    note = Pass("Note", parameters={"job.$": "$.job", "note": "trained"})
    arn = Pass("Same Version", result="arn:v", result_path="$.job.arn")
    ask = LambdaStep("Ask", parameters={"FunctionName": "f"}, result_path=None)
    return [s.etl(), s.training(), note, ask, arn, s.batch_inference(), s.publish()]


def caught_without_path(s: Stages) -> list[Any]:
    batch, attempt = s.batch_inference(), LambdaStep("Try", result_path=None)
    attempt.add_catch(Catch(error_equals=["States.ALL"], next_step=batch))
    return [s.etl(), s.training(), attempt, batch]


def inferred_again(s: Stages) -> list[Any]:
    batch = s.batch_inference()
    return [s.etl(), s.training(), batch, choice("Again?", batch), s.publish()]


def delivered_anyway(s: Stages) -> list[Any]:
    publish, deliver = s.publish(), s.deliver()
    odd = choice("Publish Today?", publish, default=deliver)
    return [s.etl(), s.training(), s.batch_inference(), odd, publish, deliver]


def begun_inside(s: Stages) -> list[Any]:
    return [both(s.begin(), result_path=None), *named(USUAL)(s)]


def noted_past_the_gate(s: Stages) -> list[Any]:
    batch, gate = s.batch_inference(), s.quality_gate()
    note = Pass("Note", result_path="$.job.note")
    note.next(batch)
    return [s.etl(), s.training(), choice("Odd?", gate, default=note), gate, batch]


def last_version() -> Pass:
    return Pass("Last Version", result={"arn": "arn:v"}, result_path="$.job")


def trained_anew_or_not(s: Stages) -> list[Any]:
    training = s.training()
    odd = choice("Sunday?", training, default=last_version())
    return [s.etl(), s.imports(), odd, training, s.batch_inference(), s.publish()]


def judged_or_not(s: Stages) -> list[Any]:
    training, batch = s.training(), s.batch_inference()
    last = last_version()
    last.next(batch)
    odd = choice("Sunday?", training, default=last)
    return [s.etl(), s.imports(), odd, training, s.quality_gate(), batch, s.publish()]


def without_imports(s: Stages) -> list[Any]:
    training = s.training()
    same = choice("Same Data?", training)
    return [s.etl(), same, s.imports(), training, s.batch_inference(), s.publish()]


def one_or_the_other(s: Stages) -> list[Any]:
    odd = choice("Mode?", s.imports(), default=s.training())
    return [s.etl(), odd]


def trained_again(s: Stages) -> list[Any]:
    training = s.training()
    return [s.etl(), s.imports(), training, choice("Again?", training), s.batch_inference()]


def cleaned_up_anyway(s: Stages) -> list[Any]:
    publish, clean_up = s.publish(), s.clean_up()
    odd = choice("Publish Today?", publish, default=clean_up)
    return [s.etl(), s.imports(), s.training(), s.batch_inference(), odd, publish, clean_up]


def some_not_published(s: Stages) -> list[Any]:
    each = s.each
    batch = each.batch_inference()
    few = choice("Few Users?", Succeed("Left Out"), default=batch)
    every = s.recommenders(each.training(), few, batch, each.publish())
    return [s.etl(), s.imports(), every, s.all_published(), Pass("Tell the Shop")]


USUAL = "etl imports training batch_inference publish"


@pytest.mark.parametrize("more", ["", "sdk"])
@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ("", named(USUAL)),
        ("", named(f"look begin {USUAL}", look=Pass("Look"))),
        ("", named("etl")),
        ("", named("etl imports training")),
        ("", lambda s: [Chain([s.etl(), Pass("One")]), Chain([s.imports(), s.training()])]),
        ("", trained_anew_or_not),
        ("gate", judged_or_not),
        ("", without_imports),
        ("", one_or_the_other),
        ("", trained_again),
        ("", lambda s: [s.etl(), carrying(s.training(), Pass("Own")), s.batch_inference()]),
        ("gate", lambda s: [s.etl(), *judged_inside(s, carrying), s.batch_inference()]),
        ("", trained_and_told),
        ("", lambda s: [s.etl(), last_version(), Map("Each", iterator=Pass("Own"))]),
        ("retention", cleaned_up_anyway),
        (
            "campaigns delivery retention",
            lambda s: [*named(USUAL)(s), both(s.deliver(), s.campaigns()), s.clean_up()],
        ),
        (
            "campaigns delivery retention notification backtest",
            named(f"{USUAL} clean_up deliver campaigns"),
        ),
        ("delivery", lambda s: [Pass("Filter Recommended Item"), s.deliver()]),
        ("", lambda s: [LambdaStep("ETL", result_path=None), s.imports()]),
    ],
)
def test_an_order_in_which_each_stage_has_what_it_needs_is_taken(
    tables: str, parts: Parts, more: str
) -> None:
    stages = stages_of(f"{tables} {more}")

    render_definition(stages.compose(*parts(stages)).to_dict())


def test_a_chain_is_repeated_for_each_recommender_as_its_parts_are() -> None:
    def composed(*parts: Any) -> Any:
        return stages.compose(
            stages.etl(), stages.imports(), stages.recommenders(*parts), stages.all_published()
        ).to_dict()

    stages = several()
    each = stages.each

    assert composed(
        Chain([Pass("Begin One"), each.training()]), each.batch_inference(), each.publish()
    ) == composed(
        Pass("Begin One"), each.training(), Chain([each.batch_inference(), each.publish()])
    )
    with pytest.raises(StructureError, match="part 1 is a list: give its members one by one"):
        stages.recommenders([each.training()])  # type: ignore[arg-type]


def test_a_map_of_one_s_own_over_recommenders_has_their_items() -> None:
    stages = several()
    told = Map("Tell Each", items_path="$.recommenders", result_path=None)
    told.attach_iterator(stages.each.function("Tell One", "get-status"))

    stages.compose(
        stages.etl(), stages.imports(), stages.recommenders(), told, stages.all_published()
    )


def test_a_recommender_may_be_left_out_and_a_state_may_stand_at_the_end() -> None:
    stages = several()

    render_definition(stages.compose(*some_not_published(stages)).to_dict())


UNMET = "stages.{} needs stages.{} before it, on every way to '{}'"
INSIDE = (
    ": it infers with the solution version at $.job; put it there, or a state of yours with"
    " result_path $.job; what it leaves inside 'Both' is not outside of it"
)


@pytest.mark.parametrize("more", ["", "sdk"])
@pytest.mark.parametrize(
    ("tables", "parts", "fault"),
    [
        (
            "delivery",
            named("etl imports training deliver batch_inference publish"),
            "stages.deliver() needs stages.publish() before it: it delivers the list that the run"
            " has published; put it there",
        ),
        (
            "delivery",
            named("etl imports training batch_inference deliver"),
            "stages.deliver() needs stages.publish() before it",
        ),
        (
            "delivery",
            lambda s: [
                *named("etl imports training batch_inference")(s),
                both(s.publish(), s.deliver()),
            ],
            "stages.deliver() needs stages.publish() before it",
        ),
        (
            "campaigns",
            named("etl imports training campaigns batch_inference publish"),
            "stages.campaigns() needs stages.publish() before it",
        ),
        (
            "retention",
            named(f"clean_up {USUAL}"),
            "stages.publish() does not come before stages.clean_up(): what is old is deleted once",
        ),
        ("delivery", delivered_anyway, "stages.deliver() needs stages.publish() before it, on every"
         " way to 'Deliver Recommendations': it delivers the list that the run has published"),
        ("", lambda s: [s.etl(), both(s.training(), Pass("Own")), s.batch_inference()],
         UNMET.format("batch_inference()", "training()", "Trigger Batch Inference") + INSIDE),
        ("gate", lambda s: [s.etl(), *judged_inside(s, both), s.batch_inference()],
         UNMET.format("batch_inference()", "quality_gate()", "Trigger Batch Inference")
         + ": a version that nobody has judged would make the lists; put it there, or a state of"
         " yours with result_path $.job; what it leaves inside 'Both' is not outside of it"),
        ("", lambda s: [*named("etl training")(s), LambdaStep("Ask"), s.batch_inference()],
         "'Ask' leaves $.job out of the data, which stages.batch_inference() needs of"
         " stages.training(): it infers with the solution version at $.job; give it a result_path"
         " of its own, or null"),
        ("", lambda s: [*named("etl training")(s), Pass("Note", parameters={"a": 1}),
                        s.batch_inference()], "'Note' leaves $.job out of the data"),
        ("", caught_without_path, "'Try' leaves $.job out of the data"),
        ("", begun_inside, "stages.begin() comes after stages.etl(), or a way leads past it"),
        ("gate", noted_past_the_gate, UNMET.format("batch_inference()", "quality_gate()", "Trigger")
         .removesuffix("'")),
        ("", lambda s: [*named("etl training")(s), Pass("Note", result_path="$.job.note"),
                        s.publish()], UNMET.format("publish()", "batch_inference()", "Filter Rec")
         .removesuffix("'")),
        ("", lambda s: [LambdaStep("Ask"), s.etl()], "'Ask' leaves $.begin out of the data, which"
         " stages.etl() needs of stages.begin(): a resumed run does not extract again"),
        ("", lambda s: [*named("etl training")(s), Wait("W", seconds=1, output_path="$.job"),
                        s.batch_inference()], "'W' leaves $.job out of the data"),
        ("", lambda s: [*named("etl training")(s), Wait("W", seconds=1, input_path="$.datasets"),
                        s.batch_inference()], "'W' leaves $.job out of the data"),
        ("delivery", lambda s: [*named("etl training batch_inference")(s), both(s.publish()),
                                s.deliver()],
         "stages.deliver() needs stages.publish() before it, on every way to"),
        ("", inferred_again, "stages.batch_inference() comes after stages.batch_inference(), whose"
         " job is at $.job then"),
        (
            "gate",
            named("etl imports training batch_inference quality_gate publish"),
            "stages.quality_gate() comes after stages.batch_inference(), whose job is at $.job"
            " then: it judges the solution version at $.job; put it behind stages.training()",
        ),
        (
            "gate",
            named("etl imports quality_gate training batch_inference publish"),
            UNMET.format("quality_gate()", "training()", "Judge Solution Version")
            + ": it judges the solution version at $.job; put it there, or a state of yours with"
            " result_path $.job",
        ),
        (
            "gate",
            lambda s: [
                *named("etl imports training")(s), both(s.quality_gate(), s.batch_inference()),
            ],
            UNMET.format("batch_inference()", "quality_gate()", "Trigger Batch Inference"),
        ),
        (
            "",
            named("etl imports training publish batch_inference"),
            UNMET.format("publish()", "batch_inference()", "Filter Recommended Item"),
        ),
        ("", named("imports"), UNMET.format("imports()", "etl()", "List Datasets")),
        (
            "notification backtest",
            named("imports etl"),
            UNMET.format("imports()", "etl()", "List Datasets"),
        ),
        ("", named("etl training imports"), "stages.imports() does not come before"),
        (
            "",
            lambda s: [s.etl(), both(s.imports(), s.training())],
            "stages.imports() does not come before stages.training()",
        ),
        (
            "",
            named(f"{USUAL} begin"),
            "stages.begin() comes after stages.etl(), or a way leads past it: a run takes its lock"
            " before any other stage; put it first, or leave it out, and it is put first",
        ),
        (
            "",
            lambda s: [choice("Odd?", etl := s.etl()), s.begin(), etl],
            "stages.begin() comes after stages.etl(), or a way leads past it",
        ),
        ("", lambda s: [both(s.begin(), s.etl())], "stages.begin() comes after stages.etl()"),
        (
            "",
            lambda s: [s.etl(), choice("Odd?", last := s.batch_inference()), s.training(), last],
            UNMET.format("batch_inference()", "training()", "Trigger Batch Inference"),
        ),
        (
            "",
            lambda s: [s.etl(), s.training(), Map("Each", iterator=s.batch_inference())],
            UNMET.format("batch_inference()", "training()", "Trigger Batch Inference"),
        ),
        (
            "backtest",
            named("own", own=Pass("Own")),
            "[backtest] needs stages.etl(), whose Spark job measures it; add it there",
        ),
    ],
)  # fmt: skip
def test_a_stage_without_what_it_needs_is_refused(
    tables: str, parts: Parts, fault: str, more: str
) -> None:
    told = faults(stages_of(f"{tables} {more}"), parts)

    assert any(each.startswith(fault) for each in told), told


INCREMENTAL = "plan_increment etl imports training batch_inference publish"


def past_the_plan(s: Stages) -> list[Any]:
    etl = s.etl()
    return [choice("Odd?", etl), s.plan_increment(), etl, s.imports()]


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (named("etl plan_increment imports training"), "its job reads what $.increment says"),
        (named("etl imports training batch_inference publish plan_increment"), "$.increment says"),
        (past_the_plan, UNMET.format("etl()", "plan_increment()", "Extracted Already?")),
        (
            lambda s: [
                *named("plan_increment etl imports")(s),
                Pass("Note", parameters={"trainingMode.$": "$.trainingMode"}),
                s.training(),
            ],
            "'Note' leaves $.increment out of the data",
        ),
        (named("plan_increment etl training"), "it trains as $.increment and $.trainingMode say"),
        (without_imports, "[increments] needs stages.plan_increment() before stages.etl(); add it"),
    ],
)
def test_increments_are_planned_before_they_are_read(parts: Parts, fault: str) -> None:
    told = faults(stages_of("increments"), parts)

    assert any(fault in each for each in told), told
    stages_of("increments").compose(*named(INCREMENTAL)(stages_of("increments")))


def test_a_filter_on_spark_has_a_publication() -> None:
    text = EXAMPLE.replace("\n[filter]\n", "\n[filter]\nspark_above = 0\n")

    told = faults(stages_of("", text), named("etl imports training batch_inference"))

    assert told == (
        "[filter] spark_above needs stages.publish() after stages.batch_inference(); add it there,"
        " or leave the table out",
    )
    stages_of("", text).compose(*named(USUAL)(stages_of("", text)))


def repeated(names: str, *, before: str = "etl imports", end: str = "all_published") -> Parts:
    """Return the parts before and behind `recommenders`, and stages of `each` inside it."""
    return lambda s: [
        *named(before)(s),
        s.recommenders(*(getattr(s.each, name)() for name in names.split())),
        *named(end)(s),
    ]


EACH = "training batch_inference publish"


@pytest.mark.parametrize(
    ("tables", "parts", "fault"),
    [
        (
            (),
            lambda s: [s.etl(), s.imports(), s.recommenders(s.training(), s.batch_inference(),
                                                            s.publish()), s.all_published()],
            "stages.training() inside stages.recommenders(…) has the settings of the first"
            " recommender, whichever is its turn; write stages.each.training()",
        ),
        ((), repeated(EACH, before="etl imports all_published", end=""), "stages.all_published()"),
        ((), repeated(EACH, before="etl", end="imports all_published"), "stages.imports() does not"
         " come before stages.each.training()"),
        ((), repeated("training"), "stages.all_published() needs stages.publish() before it"),
        (
            (),
            repeated("batch_inference publish", before="etl training"),
            UNMET.format("each.batch_inference()", "each.training()", "Trigger Batch Inference"),
        ),
        (
            (),
            lambda s: [s.recommenders(s.etl(), s.each.training(), s.each.batch_inference(),
                                      s.each.publish()), s.all_published()],
            "stages.etl() stands inside stages.recommenders(…), which would repeat it for each"
            " recommender; put it outside",
        ),
        (
            (),
            lambda s: [*repeated(EACH)(s), s.each.function("Look Again", "get-status")],
            "'Look Again' is made by stages.each and stands outside of stages.recommenders(…)",
        ),
        (
            (f"[recommenders.similar.gate]\n{GATE}",),
            repeated(EACH),
            "[recommenders.similar.gate] needs stages.each.quality_gate() after"
            " stages.each.training(), in stages.recommenders(…); add it there",
        ),
        (
            (f"[gate]\n{GATE}",),
            repeated("training batch_inference publish quality_gate"),
            "stages.each.quality_gate() comes after stages.each.publish(), whose job is at",
        ),
        (
            (),
            lambda s: [*named("etl imports")(s), s.recommenders(), LambdaStep("Tell"),
                       s.all_published()],
            "'Tell' leaves $.outcomes out of the data, which stages.all_published() needs of",
        ),
        (
            (),
            lambda s: [s.etl(), s.imports(), s.recommenders(s.each.training(), Pass(
                "Note", parameters={"job.$": "$.job"}), s.each.batch_inference(),
                s.each.publish()), s.all_published()],
            "'Note' leaves $.recommender out of the data, by which stages.each.batch_inference()",
        ),
        (
            (TABLES["delivery"],),
            repeated(EACH, before="etl imports deliver"),
            "stages.deliver() needs stages.each.publish() before it",
        ),
        (
            (TABLES["delivery"],),
            repeated(EACH, end="all_published deliver"),
            "stages.deliver() does not come before stages.all_published(): it is left out then if a"
            " recommender failed",
        ),
    ],
)  # fmt: skip
def test_what_is_repeated_is_of_each_and_all_else_stands_outside(
    tables: tuple[str, ...], parts: Parts, fault: str
) -> None:
    told = faults(several(*tables), parts)

    assert any(each.startswith(fault) for each in told), told


@pytest.mark.parametrize("stage", ["training", "batch_inference", "publish"])
def test_a_stage_of_each_needs_several_recommenders(stage: str) -> None:
    stages = stages_of()
    made = {name: getattr(stages, name) for name in USUAL.split()}
    made[stage] = getattr(stages.each, stage)

    with pytest.raises(StructureError) as raised:
        stages.compose(*(make() for make in made.values()))

    assert raised.value.faults == (
        f"stages.each.{stage}() stands outside of stages.recommenders(…), where $.recommender is"
        f" not there; put it inside, or write stages.{stage}()",
    )


def test_the_file_and_its_line_are_named(tmp_path: Path) -> None:
    lines = "from workflow import Stages\n\n\ndef build(config):\n    s = Stages(config)\n"
    source = f"{lines}    return s.compose(s.imports(), s.etl())\n"

    with pytest.raises(
        StructureError, match=r"retraining\.py, line 6: .*faulty:\n  stages\.imports"
    ):
        retraining_graph(
            project(
                tmp_path, '[workflow]\ndefinition = "retraining.py"\n', {"retraining.py": source}
            )
        )


@pytest.mark.parametrize("more", ["", "sdk", "increments"])
def test_each_stage_has_its_row(more: str) -> None:
    every = stages_of(f"campaigns delivery gate retention {more}")
    graphs = [build(every.config), build(several(TABLES["gate"]).config), build(best())]

    for graph in graphs:
        titles = {stage.title for stage in graph.stages} - STAGES.keys()
        assert titles <= {"Import", "Campaign", "Training of own", "Lists of own"}
    for title, placed in STAGES.items():
        method = placed.method.removesuffix("()")
        assert callable(getattr(Stages, method))
        others = {*placed.needs, *placed.follows, *placed.precedes, *placed.needs_with}
        assert others - {"increments", "compared", "gate"} <= STAGES.keys(), title
        if more == "increments" or method != "plan_increment":
            made = [stage for graph in graphs for stage in graph.stages if stage.title == title]
            assert any(placed.state in stage.states for stage in made), title
