"""The difference of two definitions as a reviewer reads it, the command, and the CI's comment."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from retrain.main import app
from tests.workflow.definitions import nested
from workflow.definition.review import (
    ABSENT,
    FieldChange,
    Review,
    StateChange,
    StateTransition,
    review,
)
from workflow.definition.review_text import COMMENT_MARK, Section, as_markdown, as_text

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "asl" / "retraining.asl.json"


@pytest.fixture
def before():
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


@pytest.fixture
def after(before):
    return copy.deepcopy(before)


def test_the_same_workflow_in_another_order_of_keys_is_no_difference(before):
    def reverse_keys(value):
        if isinstance(value, dict):
            return {key: reverse_keys(value[key]) for key in reversed(value)}
        return [reverse_keys(element) for element in value] if isinstance(value, list) else value

    result = review(before, reverse_keys(before))

    assert result == Review()
    assert not result
    assert as_text(result, before="a", after="b") == "a → b: no difference\n"


def test_a_changed_field_is_named_by_its_path_with_both_values(before, after):
    payload = after["States"]["Filter Recommended Item"]["Parameters"]["Payload"]
    payload["keep"] = 10
    payload["also"] = {"x": True}
    del payload["bucket"]

    assert review(before, after).states == (
        StateChange(
            "changed",
            "Filter Recommended Item",
            "Task",
            fields=(
                FieldChange(
                    "Parameters.Payload.bucket",
                    "labbase-retraining-123456789012-ap-northeast-1",
                    ABSENT,
                ),
                FieldChange("Parameters.Payload.keep", 25, 10),
                FieldChange("Parameters.Payload.also", ABSENT, {"x": True}),
            ),
        ),
    )


def test_a_retrier_is_named_by_its_errors_wherever_it_stands(before, after):
    after["States"]["ETL"]["Retry"][1]["MaxAttempts"] = 3

    (change,) = review(before, after).states

    path = "Retry[Glue.ConcurrentRunsExceededException].MaxAttempts"
    assert change.fields == (FieldChange(path, 10, 3),)


def test_the_order_of_retriers_counts(before, after):
    after["States"]["ETL"]["Retry"].reverse()

    (change,) = review(before, after).states

    assert [field.path for field in change.fields] == ["Retry order"]


def test_true_is_not_1_but_2_is_2_0(before, after):
    before["States"]["ETL"]["Parameters"]["Arguments"] |= {"a": 1, "b": 2}
    after["States"]["ETL"]["Parameters"]["Arguments"] |= {"a": True, "b": 2.0}

    (change,) = review(before, after).states

    assert change.fields == (FieldChange("Parameters.Arguments.a", 1, True),)


def test_a_state_put_between_two_others_is_one_new_state_and_one_changed_transition(before, after):
    after["States"]["Check Twice"] = {"Type": "Pass", "Next": "List Datasets"}
    after["States"]["ETL"]["Next"] = "Check Twice"

    result = review(before, after)

    assert as_text(result, before="deployed", after="new") == (
        "deployed → new: 1 state added, 1 changed\n"
        "~ ETL (Task)\n"
        "    transition next: List Datasets → Check Twice\n"
        "+ Check Twice (Pass)\n"
        "    transition: next → List Datasets\n"
    )


def test_a_removed_state_of_a_map_is_named_with_its_scope(before, after):
    inner = after["States"]["Reimport All Datasets"]["Iterator"]["States"]
    del inner["Import Failed"]
    for name in ("Import Dataset", "Get Job Status"):
        del inner[name]["Catch"]
    del inner["Job Complete?"]["Choices"][1:]

    result = review(before, after)

    assert result.headline() == "1 state removed, 3 changed"
    assert result.states[0] == StateChange(
        "removed", "Import Failed", "Fail", "Reimport All Datasets"
    )
    assert result.states[3].removed == (
        StateTransition('when $.job.status StringEquals "CREATE FAILED"', "Import Failed"),
        StateTransition('when $.job.status StringEquals "CREATE STOPPED"', "Import Failed"),
    )


def test_rules_of_a_choice_in_another_order_are_reported_as_an_order(before, after):
    after["States"]["Batch Completed?"]["Choices"].reverse()

    (change,) = review(before, after).states

    assert not change.fields
    assert (change.removed, change.added) == ((), ())
    assert [transition.target for transition in change.reordered] == [
        "Report Failure",
        "Report Failure",
        "Filter Recommended Item",
        "Wait X Seconds for Batch Inference",
    ]


def test_a_renamed_state_is_one_renaming_and_the_transitions_to_it_are_no_change(before, after):
    states = after["States"]
    states["Read the Database"] = states.pop("ETL")
    states["Extracted Already?"]["Default"] = "Read the Database"

    assert review(before, after) == Review(
        states=(StateChange("renamed", "Read the Database", "Task", former_name="ETL"),)
    )


def test_a_state_that_moved_out_of_a_map_changed_its_scope(before, after):
    states = {"In": {"Type": "Pass", "End": True}}
    with_map = {"StartAt": "M", "States": {"M": {"Type": "Map", "End": True}}}
    before = copy.deepcopy(with_map)
    before["States"]["M"]["Iterator"] = {"StartAt": "In", "States": states}
    after = {"StartAt": "In", "States": states}

    result = review(before, after)

    assert result.states == (
        StateChange("removed", "M", "Map", does=("for each item",)),
        StateChange("changed", "In", "Pass", fields=(FieldChange("scope", "M", "the machine"),)),
    )


def counting(definition):
    """Return the first branch of the Parallel in the Map."""
    region = definition["States"]["Each Region"]["ItemProcessor"]
    return region["States"]["Both"]["Branches"][0]


def reading(definition):
    """Return the processor of the Map in the second branch."""
    region = definition["States"]["Each Region"]["ItemProcessor"]
    return region["States"]["Both"]["Branches"][1]["States"]["Each File"]["Iterator"]


def test_a_state_that_moved_to_another_branch_changed_its_scope():
    before, after = nested(), nested()
    states = counting(after)["States"]
    reading(after)["States"]["Counted"] = states.pop("Counted")

    (change,) = review(before, after).states

    assert change.fields == (FieldChange("scope", "branch 1 of Both", "Each File"),)


def test_a_state_in_a_branch_is_named_with_its_branch():
    before, after = nested(), nested()
    counting(after)["States"]["Miscounted"]["Error"] = "TooMany"
    counting(after)["States"]["Count"]["Catch"][0]["ResultPath"] = "$.job"

    assert as_text(review(before, after), before="old", after="new").splitlines() == [
        "old → new: 2 states changed",
        "~ Count (Task, in branch 1 of Both)",
        '    Catch: (none) → [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.job"}]',
        "~ Miscounted (Fail, in branch 1 of Both)",
        '    Error: "TooFew" → "TooMany"',
    ]


def test_states_of_one_name_in_two_branches_are_compared_each_with_itself():
    def definition(first, second):
        branches = [
            {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": seconds, "End": True}}}
            for seconds in (first, second)
        ]
        both = {"Type": "Parallel", "Branches": branches, "End": True}
        return {"StartAt": "P", "States": {"P": both}}

    assert review(definition(1, 2), definition(3, 2)).states == (
        StateChange(
            "changed", "A", "Wait", "branch 1 of P", fields=(FieldChange("Seconds", 1, 3),)
        ),
    )


def test_renaming_a_parallel_changes_no_state_in_it():
    before, after = nested(), nested()
    region = after["States"]["Each Region"]["ItemProcessor"]
    states = region["States"]
    region["States"] = {"Together": states["Both"], "Left Out": states["Left Out"]}
    region["StartAt"] = "Together"

    assert review(before, after).states == (
        StateChange("renamed", "Together", "Parallel", "Each Region", former_name="Both"),
    )


def test_the_assign_of_a_choice_rule_is_a_field_of_its_state():
    before, after = nested(), nested()
    counting(before)["States"]["Enough?"]["Choices"][0]["Assign"] = {"rows.$": "$.rows"}
    counting(after)["States"]["Enough?"]["Choices"][0]["Assign"] = {"rows.$": "$.count"}

    (change,) = review(before, after).states

    assert change.fields == (
        FieldChange(
            "Choices.($.rows NumericGreaterThanEquals 25 and not $.source StringEquals"
            ' "test").Assign.rows.$',
            "$.rows",
            "$.count",
        ),
    )


def test_combined_conditions_read_as_one_sentence():
    rule = {
        "And": [
            {"Variable": "$.a", "IsPresent": True},
            {"Not": {"Variable": "$.b", "NumericLessThan": 3}},
        ]
    }
    choice = {"Type": "Choice", "Choices": [{**rule, "Next": "B"}], "Default": "B"}
    states = {"A": choice, "B": {"Type": "Succeed"}}

    result = review({}, {"StartAt": "A", "States": states})

    assert result.states[0].added[0].when == (
        "when ($.a IsPresent true and not $.b NumericLessThan 3)"
    )


def test_the_comment_holds_the_changes_and_both_pictures(before, after):
    after["TimeoutSeconds"] = 3600
    after["States"]["List Datasets"]["Comment"] = "with `ticks` and |"

    lines = as_markdown(review(before, after), before=before, after=after).splitlines()

    assert lines[:6] == [
        COMMENT_MARK,
        "### Workflow: 1 state changed, the machine's settings changed",
        "",
        "- **the machine**: `TimeoutSeconds: 86400 → 3600`",
        "- changed **List Datasets (Task)**",
        '  - ``Comment: (none) → "with `ticks` and |"``',
    ]
    assert lines.count("```mermaid") == 2
    assert lines.count("</details>") == 2


def test_an_added_and_a_removed_state_say_what_they_do(before, after):
    states = after["States"]
    del states["Filter Recommended Item"]
    states["Wait for the Backup"] = {"Type": "Wait", "Seconds": 600, "Next": "ETL"}
    states["Ask the Editors"] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "shop-ask-editors", "Payload": {"batch": 100}},
        "TimeoutSeconds": 120,
        "End": True,
    }
    states["Train"] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
        "Parameters": {"TrainingJobName": "x" * 300},
        "End": True,
    }
    states["Use Defaults"] = {"Type": "Pass", "Result": {"keep": 25}, "End": True}

    lines = as_text(review(before, after), before="a", after="b").splitlines()

    assert lines[1:3] == [
        "- Filter Recommended Item (Task)",
        "    Lambda labbase-filter-recommendations, 16 min at most",
    ]
    assert lines[3].startswith('    with {"bucket": "labbase-retraining-123456789012-ap')
    assert lines[lines.index("+ Wait for the Backup (Wait)") :] == [
        "+ Wait for the Backup (Wait)",
        "    Wait 10 min",
        "    transition: next → ETL",
        "+ Ask the Editors (Task)",
        "    Lambda shop-ask-editors, 2 min at most",
        '    with {"batch": 100}',
        "    transition: next → the end",
        "+ Train (Task)",
        "    SageMaker createTrainingJob",
        f'    with {{"TrainingJobName": "{"x" * 218}…',
        "    transition: next → the end",
        "+ Use Defaults (Pass)",
        '    with {"keep": 25}',
        "    transition: next → the end",
    ]


def test_the_comments_pictures_colour_what_changed(before, after):
    states = after["States"]
    states["Check Twice"] = {"Type": "Pass", "Next": "List Datasets"}
    states["ETL"]["Next"] = "Check Twice"
    states["Get Batch Inference Status"]["TimeoutSeconds"] = 60
    del after["States"]["Reimport All Datasets"]["Iterator"]["States"]["Import Failed"]

    old, new = as_markdown(review(before, after), before=before, after=after).split(
        "<details open>"
    )

    def coloured(text):
        return re.findall(r"^    class (.*)$", text, re.MULTILINE)

    assert coloured(old) == ["etl,batch_completed changed", "import_failed removed"]
    assert coloured(new) == ["etl,batch_completed changed", "check_twice added"]
    assert "    classDef added fill:" in new


def test_what_else_differs_stands_below_the_workflow(before):
    sections = [Section("Data sets", ("+ ITEMS.PRICE: float, from items.`price`",))]

    text = as_text(Review(), before="a", after="b", sections=sections)
    comment = as_markdown(Review(), before=before, after=before, sections=sections)

    assert text == (
        "a → b: no difference\nData sets:\n    + ITEMS.PRICE: float, from items.`price`\n"
    )
    assert comment.splitlines()[2:] == [
        "",
        "The workflow is the same, state by state.",
        "",
        "#### Data sets",
        "",
        "- `` + ITEMS.PRICE: float, from items.`price` ``",
    ]


def test_the_comment_of_a_first_workflow_has_one_picture(before):
    text = as_markdown(review({}, before), before={}, after=before)

    assert text.splitlines()[1].startswith("### Workflow: 24 states added")
    assert "Before: there was no workflow." in text
    assert text.count("```mermaid") == 1


def test_a_comment_never_grows_beyond_what_github_takes(before, after):
    after["States"] |= {
        f"A state with a rather long name, number {n}": {"Type": "Pass", "Next": "ETL"}
        for n in range(1_000)
    }

    text = as_markdown(review(before, after), before=before, after=after)

    assert len(text) < 65_536
    assert "… and more" in text


@pytest.fixture
def retrain():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [*map(str, arguments)])


def test_diff_ends_with_0_if_nothing_differs_and_1_if_something_does(retrain, tmp_path, after):
    base = tmp_path / "base.json"
    after["TimeoutSeconds"] = 3600
    base.write_text(json.dumps(after))

    same = retrain("diff", "--asl", COMMITTED, "--base", COMMITTED)
    other = retrain("diff", "--asl", COMMITTED, "--base", base)

    assert same.exit_code == 0
    assert other.exit_code == 1
    assert "~ the machine: TimeoutSeconds: 3600 → 86400\n" in other.stdout


def project(directory, change=lambda text: text):
    """Write a project whose workflow is rendered, without a template; return its directory."""
    directory.mkdir()
    text = change((ROOT / "retraining.toml").read_text(encoding="utf-8"))
    (directory / "retraining.toml").write_text(text, encoding="utf-8")
    paths = ["--config", str(directory / "retraining.toml"), "--output", str(directory / "asl")]
    result = CliRunner().invoke(app, ["render", *paths])
    assert result.exit_code == 0, result.output
    return directory


def test_diff_with_an_earlier_version_shows_data_sets_permissions_and_cost(
    retrain, tmp_path, monkeypatch
):
    earlier = project(tmp_path / "earlier")

    def change(text):
        return (
            text.replace('source = "job_postings.salary", type = "int"', 'source = "pay"')
            .replace('PREFECTURE = { source = "students.prefecture", categorical = true }\n', "")
            .replace("GRADE = {", 'AGE = { source = "students.age", type = "int" }\nGRADE = {')
            .replace("filter = \"students.status = 'active'\"", 'filter = "true"')
            .replace("[aws]\n", '[aws]\nfunctions = { get-status = "ask" }\n')
            .replace("[etl]\n", "[etl]\nworkers = 9\n")
        )

    now = project(tmp_path / "now", change)
    monkeypatch.chdir(now)

    same = retrain("diff", "--base", now)
    other = retrain("diff", "--base", earlier)
    comment = retrain("diff", "--base", earlier, "--markdown")

    assert (same.exit_code, other.exit_code, comment.exit_code) == (0, 1, 1)
    lines = other.stdout.splitlines()
    cost = lines.index("Cost, as `retrain cost` estimates it:")
    found = lines[lines.index("Data sets:") : cost]
    assert [line for line in found if " functions: " not in line] == [
        "Data sets:",
        "    - USERS.PREFECTURE: string categorical, from students.prefecture",
        "    ~ ITEMS.SALARY: int → string, from job_postings.salary → from pay",
        "    + USERS.AGE: int, from students.age",
        '    ~ USERS.filter: "students.status = \'active\'" → "true"',
        '    ~ batch_input.relation.filter: "students.status = \'active\'" → "true"',
        "Permissions:",
        "    - states: lambda:InvokeFunction on"
        " arn:aws:lambda:ap-northeast-1:123456789012:function:labbase-get-status",
        "    + states: lambda:InvokeFunction on"
        " arn:aws:lambda:ap-northeast-1:123456789012:function:ask",
    ]
    assert [line.partition(":")[0] for line in lines[cost + 1 :]] == [
        "    ~ a run",
        "    ~ a month",
        "    ~ Glue",
    ]
    assert "#### Permissions\n\n- `- states: lambda:InvokeFunction on arn:" in comment.stdout


def test_diff_shows_the_permissions_of_functions_and_of_a_definition_that_is_new(
    retrain, tmp_path, monkeypatch
):
    earlier = project(tmp_path / "earlier")
    (earlier / "asl" / "retraining.asl.json").unlink()
    function = (
        '\n[functions.ask]\nsource = "ask.py"\n'
        'permissions = [{ actions = ["s3:GetObject"], resources = ["arn:aws:s3:::lake/*"] }]\n'
    )
    now = project(tmp_path / "now", lambda text: text + function)
    monkeypatch.chdir(now)

    result = retrain("diff", "--base", earlier)

    lines = [line.strip() for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert "+ functions: s3:GetObject on arn:aws:s3:::lake/*" in lines
    assert (
        "+ states: lambda:InvokeFunction on"
        " arn:aws:lambda:ap-northeast-1:123456789012:function:labbase-get-status"
    ) in lines
    assert f"cannot be compared: {earlier}/asl/retraining.asl.json has no definition" in lines


def test_diff_with_a_version_before_the_first_workflow(retrain, tmp_path, monkeypatch):
    (tmp_path / "earlier").mkdir()
    monkeypatch.chdir(project(tmp_path / "now"))

    result = retrain("diff", "--base", tmp_path / "earlier")

    assert result.exit_code == 1
    assert "has none: every state is new" in result.stdout
    assert "Data sets" not in result.stdout


def test_diff_with_a_version_whose_configuration_is_broken_says_so(retrain, tmp_path, monkeypatch):
    earlier = project(tmp_path / "earlier")
    (earlier / "retraining.toml").write_text('name = "Shop"\n')
    monkeypatch.chdir(project(tmp_path / "now"))

    result = retrain("diff", "--base", earlier)

    assert result.exit_code == 1
    assert "cannot be compared: " in result.stdout
    assert "earlier/retraining.toml: 5 mistakes" in result.stdout


@pytest.mark.parametrize("arguments", [(), ("--base", "../earlier")])
def test_a_mistake_in_the_configuration_is_no_difference(retrain, tmp_path, monkeypatch, arguments):
    project(tmp_path / "earlier")
    now = project(tmp_path / "now")
    (now / "retraining.toml").write_text('name = "Shop"\n')
    monkeypatch.chdir(now)

    result = retrain("diff", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("retraining.toml: 5 mistakes")


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ('name = "labbase"', 'name = "shop"', "name labbase, not shop"),
        ('"123456789012"', '"210987654321"', "account 123456789012, not 210987654321"),
        ('"ap-northeast-1"', '"eu-west-1"', "region ap-northeast-1, not eu-west-1"),
    ],
)
def test_diff_refuses_the_definition_of_another_deployment(retrain, tmp_path, old, new, difference):
    """The deployed one is not even asked for; nor are two files compared that way."""
    other = project(tmp_path / "other", lambda text: text.replace(old, new, 1))
    file = other / "asl" / "retraining.asl.json"

    by_config = retrain("diff", "--asl", COMMITTED, "--config", other / "retraining.toml")
    by_file = retrain("diff", "--asl", COMMITTED, "--base", file)

    for result, name in ((by_config, other / "retraining.toml"), (by_file, file)):
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(
            f"{COMMITTED} is another deployment's than {name}: it has {difference}; compare"
        )


def test_diff_with_an_empty_base_lists_every_state_as_new(retrain, tmp_path):
    (tmp_path / "base.json").touch()

    result = retrain("diff", "--asl", COMMITTED, "--base", tmp_path / "base.json")

    assert result.exit_code == 1
    assert "every state is new" in result.stdout


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "no JSON"),
        ("\udcff", "no JSON"),
        ("[1]", "no definition in Amazon States Language"),
        ('{"States": {"A": null}}', "'A' is no object"),
        ('{"States": {"A": "Pass"}}', "'A' is no object"),
        ('{"States": {"A": {"Type": "Choice", "Choices": null}}}', "'A': Choices is no list"),
        ('{"States": {"A": {"Type": "Parallel", "Branches": ["x"]}}}', "'A': Branches is no list"),
        ('{"States": {"A": {"Next": 3}}}', "'A': Next is no text"),
        ('{"States": {"": {"Type": "Pass"}}}', "a state has no name"),
        ('{"States": {"A": {"Type": "Map", "Iterator": {}}}}', "'A': no definition in Amazon"),
        (None, "No such file"),
    ],
)
def test_diff_ends_with_2_if_there_is_nothing_to_compare(retrain, tmp_path, content, complaint):
    file = tmp_path / "base.json"
    if content:
        file.write_text(content, encoding="utf-8", errors="surrogateescape")

    result = retrain("diff", "--asl", COMMITTED, "--base", file)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def ci():
    path = ROOT / ".github" / "workflows" / "review.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_action_is_pinned_to_a_commit(ci):
    used = [step["uses"] for job in ci["jobs"].values() for step in job["steps"] if "uses" in step]

    assert used
    assert [
        element for element in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", element)
    ] == []


def test_the_job_that_may_write_runs_none_of_the_pull_requests_code(ci):
    jobs = ci["jobs"]

    assert ci["permissions"] == {}
    assert jobs["check"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    assert [step for step in jobs["comment"]["steps"] if "uses" in step] == []
    # What a pull request's author may choose reaches the shell as data, in the environment.
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert [run for run in runs if "${{" in run] == []


def test_the_comment_that_is_brought_up_to_date_is_found_by_its_mark(ci):
    (step,) = ci["jobs"]["comment"]["steps"]

    assert f'startswith("{COMMENT_MARK}")' in step["run"]


def test_the_ci_runs_what_a_person_runs(ci):
    runs = "\n".join(step.get("run", "") for step in ci["jobs"]["check"]["steps"])

    for command in ("make check", "make test", "render --check", "template --check", "diff --base"):
        assert command in runs
