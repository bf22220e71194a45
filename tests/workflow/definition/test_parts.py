"""Parts are linked by what they lead to, refused if that is not one way, and left as they were."""

from pathlib import Path

import pytest

from workflow import Stages, load_config
from workflow.definition.render import render_definition
from workflow.errors import StructureError
from workflow.sdk import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    Fail,
    LambdaStep,
    Map,
    Parallel,
    Pass,
    Succeed,
)

ROOT = Path(__file__).parents[3]
ODD = ChoiceRule.IsPresent("$.odd", value=True)


@pytest.fixture
def stages():
    return Stages(load_config(ROOT / "retraining.toml"))


def made(graph):
    definition = graph.to_dict()
    render_definition(definition)  # the structural check
    return definition["States"]


def faults(stages, *parts):
    with pytest.raises(StructureError) as raised:
        stages.compose(*parts)
    return raised.value.faults


def choice(name, target, *, default=None):
    step = Choice(name)
    step.add_choice(ODD, target)
    if default is not None:
        step.default_choice(default)
    return step


SHARED = "which are followed by different parts: say by its next(…) what follows it, end it,"


def test_a_state_to_which_two_choices_lead_is_refused_unless_it_leads_on_itself(stages):
    etl, training = stages.etl(), stages.training()
    skip = Pass("Log Skip")
    fresh, worth = choice("Fresh?", skip), choice("Worth?", skip)
    parts = [etl, fresh, stages.imports(), worth, training]

    (fault,) = faults(stages, *parts)
    skip.next(training)
    states = made(stages.compose(*parts))

    assert fault.startswith(f"'Log Skip' is reached from 'Fresh?' and from 'Worth?', {SHARED}")
    assert states["Log Skip"]["Next"] == "Create Solution Version"


def test_a_handler_that_two_tasks_catch_with_is_refused_unless_it_ends(stages):
    def parts(handler):
        caught = Catch(error_equals=["States.ALL"], next_step=handler, result_path="$.why")
        first, second = (
            LambdaStep(name, catch=caught, result_path=None) for name in ("First", "Second")
        )
        return first, stages.etl(), second

    (fault,) = faults(stages, *parts(LambdaStep("Tell the Desk")))
    states = made(stages.compose(*parts(Succeed("Told"))))

    assert fault.startswith(f"'Tell the Desk' is reached from 'First' and from 'Second', {SHARED}")
    assert states["Second"]["Catch"][0]["Next"] == "Told"


def test_a_stage_to_which_two_parts_lead_is_refused(stages):
    batch = stages.batch_inference()
    parts = [choice("Fresh?", batch), stages.etl(), choice("Worth?", batch), stages.publish()]

    (fault,) = faults(stages, *parts)

    assert fault.startswith("'Trigger Batch Inference' is reached from 'Fresh?' and from 'Worth?'")


def test_a_choice_may_lead_to_the_next_part_and_otherwise_end(stages):
    imports = stages.imports()

    states = made(
        stages.compose(stages.etl(), choice("Good?", imports, default=Fail("Not Good")), imports)
    )

    assert states["Good?"]["Choices"][0]["Next"] == "List Datasets"
    assert states["Good?"]["Default"] == "Not Good"


def test_parts_that_lead_to_the_next_one_already_stay_so(stages):
    etl, last = stages.etl(), Pass("Last")
    first = Pass("First")
    first.next(etl)

    states = made(stages.compose(first, etl, choice("Odd?", Succeed("Odd"), default=last), last))

    assert states["First"]["Next"] == "Extracted Already?"
    assert (states["ETL"]["Next"], states["Odd?"]["Default"]) == ("Odd?", "Last")


def test_a_part_may_end_if_another_one_leads_past_it(stages):
    sorry, imports = Chain([Pass("Say Sorry"), Fail("Sorry")]), stages.imports()

    states = made(
        stages.compose(stages.etl(), choice("Odd?", sorry, default=imports), sorry, imports)
    )

    assert states["Sorry"]["Type"] == "Fail"
    assert states["Reimport All Datasets"]["End"]


def test_parts_that_only_lead_to_each_other_are_refused(stages):
    first, second = Pass("First"), Pass("Second")
    first.next(second)
    second.next(first)

    assert faults(stages, Succeed("Done"), first, second) == (
        "'Done' does not lead to 'First': all its states end, or lead elsewhere; leave the last"
        " one without a next state",
    )


def test_chains_of_chains_keep_their_stages(stages):
    graph = stages.compose(
        Chain([Chain([stages.etl(), Pass("Between")]), Chain([stages.imports()])]), Pass("After")
    )

    states = made(graph)
    assert (states["ETL"]["Next"], states["Between"]["Next"]) == ("Between", "List Datasets")
    assert states["Reimport All Datasets"]["Next"] == "After"


def test_a_stage_is_not_led_to_a_second_part(stages):
    etl = stages.etl()
    etl.next(Pass("First"))

    with pytest.raises(StructureError, match="stage 'ETL' leads to 'First' already: lead that one"):
        etl.next(Pass("Second"))


def test_parts_can_be_composed_again_after_success_and_after_a_fault(stages):
    """As the cells of a notebook are run again."""
    both = Parallel("Both", result_selector={"job.$": "$[0].job"})
    both.add_branch(stages.training())
    parts = [stages.etl(), LambdaStep("Own", result_path=None), both, stages.batch_inference()]
    gate = Choice("Good?")
    gate.add_choice(ODD, Fail("Odd"))

    fault = faults(stages, *parts, gate)
    gate.default_choice(Succeed("Good"))
    first = stages.compose(*parts, gate)
    again = stages.compose(*parts, gate)
    other = stages.compose(parts[1], parts[0], both)

    assert fault == ("'Good?' has no default, and no part follows that it could lead to",)
    assert first.to_dict() == again.to_dict()
    assert first.added == again.added
    assert made(first)["ETL"]["Next"] == "Own"
    assert made(other)["ETL"]["Next"] == "Both"
    assert made(other)["Both"]["End"]


def test_a_name_of_the_user_s_that_a_stage_s_own_end_has_is_told(stages):
    assert faults(stages, Pass("Training Complete"), stages.training()) == (
        "two states are named 'Training Complete': names must be unique in the whole machine; to"
        " lead to one stage from two places, keep it in a variable",
    )


def in_a_map_and_in_the_order(_stages):
    task = Pass("One")
    return [task, Map("Each", iterator=task)]


def into_a_map(_stages):
    task = Pass("One")
    return [choice("Odd?", task), Map("Each", iterator=task)]


def out_of_a_map(stages):
    etl = stages.etl()
    return [Map("Each", iterator=choice("Odd?", etl, default=Succeed("Even"))), etl]


def in_two_branches(_stages):
    both, task = Parallel("Both"), Pass("One")
    both.add_branch(task)
    both.add_branch(task)
    return [both]


def in_itself(_stages):
    each = Map("Each")
    each.attach_iterator(each)
    return [each]


def to(target):
    first = Pass("First")
    first.next(target)
    return first


def one_branch(branch):
    both = Parallel("Both")
    both.add_branch(branch)
    return both


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (in_a_map_and_in_the_order, "'One' is a state of the machine and of 'Each': no state"),
        (into_a_map, "'One' is a state of the machine and of 'Each'"),
        (out_of_a_map, "'Extracted Already?' is a state of 'Each' and of the machine"),
        (in_two_branches, "'One' is a state of branch 1 of 'Both' and of branch 2 of 'Both'"),
        (in_itself, "'Each' is a state of the machine and of 'Each'"),
        (lambda s: [Map("Each")], "'Each' has no iterator: there is nothing to repeat"),
        (lambda s: [Map("Each", iterator="ETL")], "'Each' contains the text 'ETL': give the State"),
        (lambda s: [one_branch([s.etl()])], "'Both' contains a list: give its members one by one"),
        (lambda s: [to("ETL"), s.etl()], "'First' leads to the text 'ETL': give the State itself"),
        (lambda s: [to(Chain([])), s.etl()], "'First' leads to an empty Chain"),
        (lambda s: [choice("Odd?", 3), s.etl()], "'Odd?' leads to 3; a part is a stage, or a"),
        (lambda s: [[s.etl(), s.imports()]], "part 1 is a list: give its members one by one"),
        (lambda s: [s.etl], "part 1 is the function etl, which is not called: write etl()"),
        (lambda s: [s], "part 1 is a Stages; a part is a stage, or a State or Chain of the SDK"),
        (lambda s: ["ETL"], "part 1 is the text 'ETL': give the State itself, not its name"),
    ],
)  # fmt: skip
def test_what_stands_in_a_wrong_position_is_told(stages, parts, fault):
    told = faults(stages, *parts(stages))

    assert any(each.startswith(fault) for each in told), told
