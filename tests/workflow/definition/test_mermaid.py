"""The Mermaid picture of a definition: states in boxes, transitions, conditions in words."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.workflow.definitions import definitions, nested
from workflow.definition.asl import states
from workflow.definition.mermaid import mermaid

RETRAINING = Path(__file__).parents[3] / "asl" / "retraining.asl.json"


@pytest.fixture
def retraining():
    return json.loads(RETRAINING.read_text(encoding="utf-8"))


def nodes(chart):
    """Return the ids of a chart's nodes and boxes, by their text."""
    found = re.findall(r'^ *(?:subgraph )?(\w+)[\[({]+"(.*?)"[\])}]+$', chart, re.MULTILINE)
    return {text.partition(" — ")[0]: node for node, text in found}


def test_branches_of_a_parallel_are_boxes_inside_its_box():
    assert mermaid(nested()) == (
        """\
flowchart TD
    start_of_run(("Start"))
    subgraph each_region["Each Region — for each of $.regions"]
        subgraph both["Both — 2 branches at the same time"]
            subgraph both_branch_1["branch 1"]
                count["Count"]
                enough{"Enough?"}
                counted(("Counted"))
                miscounted[["Miscounted"]]
                count --> enough
                count -.-> miscounted
                enough -->|"rows ≥ 25 and not source is test"| counted
                enough -->|"otherwise"| miscounted
            end
            subgraph both_branch_2["branch 2"]
                subgraph each_file["Each File — for each of $.files"]
                    read["Read"]
                    unread["Unread"]
                    read -.-> unread
                end
            end
        end
        left_out["Left Out"]
        both -.-> left_out
    end
    done(("Done"))
    each_region --> done
    start_of_run --> each_region
"""
    )


def test_states_of_one_name_in_two_branches_are_two_nodes():
    branch = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    definition = {
        "StartAt": "P",
        "States": {"P": {"Type": "Parallel", "Branches": [branch, branch], "End": True}},
    }

    assert [line.strip() for line in mermaid(definition).splitlines() if '["A"]' in line] == [
        'a["A"]',
        'a_882eabd0["A"]',
    ]


def test_signs_that_mermaid_reads_itself_are_escaped():
    definition = {
        "StartAt": 'Is <b> & "c" #1?',
        "States": {
            'Is <b> & "c" #1?': {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": 3, "Next": "End"}],
            },
            "End": {"Type": "Succeed"},
        },
    }

    assert mermaid(definition).splitlines()[2:5] == [
        '    is_b_c_1{"Is #lt;b#gt; #amp; #quot;c#quot; #35;1?"}',
        '    end_46453646(("End"))',
        '    is_b_c_1 -->|"#lt; 3"| end_46453646',
    ]


def test_one_more_state_changes_its_own_lines_and_no_other(retraining):
    before = mermaid(retraining).splitlines()
    machine = retraining["States"]
    machine["ETL"]["Next"] = "Ask the Editors"
    editors = {"Type": "Pass", "Next": "List Datasets"}
    retraining["States"] = {"Ask the Editors": editors, **machine}

    after = mermaid(retraining).splitlines()

    assert [line for line in before if line not in after] == ["    etl --> list_datasets"]
    assert [line for line in after if line not in before] == [
        '    ask_the_editors["Ask the Editors"]',
        "    ask_the_editors --> list_datasets",
        "    etl --> ask_the_editors",
    ]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("Solution Version Active?", "solution_version_active"),
        ("Évaluer", "evaluer"),
        ("推薦", "state_a79d6ebe"),
        ("推薦 ETL", "etl_5623eaeb"),
        ("?!", "state_f6f369f4"),
        ("End", "end_46453646"),
        ("Start of Run", "start_of_run_84a0b92a"),
    ],
)
def test_an_id_is_the_name_in_ascii_and_a_digest_where_that_is_not_enough(name, node):
    definition = {"StartAt": name, "States": {name: {"Type": "Succeed"}}}

    assert nodes(mermaid(definition))[name] == node


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions(12))
def test_ids_are_unique_and_nothing_that_mermaid_reads_itself(definition):
    drawn = mermaid(definition, unfold=True)
    ids = re.findall(r'^ *(?:subgraph )?(\w+)[\[({]+"', drawn, re.MULTILINE)
    inner = [len(scope.inside(name)) for scope, name, state in states(definition)
             if state["Type"] == "Parallel"]  # fmt: skip

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9_]+", node) for node in ids)
    ends = drawn.count("end_of_run((")
    assert len(ids) == len(list(states(definition))) + sum(inner) + 1 + ends


def test_a_poll_loop_is_one_hexagon(retraining):
    folded, unfolded = mermaid(retraining), mermaid(retraining, unfold=True)

    assert (
        '    batch_completed{{"Batch Completed? — poll loop of 3 states"}}' in folded.splitlines()
    )
    assert "    batch_completed -.-> report_failure" in folded.splitlines()
    assert "get_batch_inference_status" not in folded
    assert "get_batch_inference_status --> batch_completed" in unfolded


def test_marked_states_are_coloured(retraining):
    marks = {
        ("ETL",): "changed",
        ("Reimport All Datasets", 0, "Import Failed"): "added",
        ("Get Batch Inference Status",): "removed",
    }

    lines = [line for line in mermaid(retraining, marks=marks).splitlines() if " class " in line]

    assert lines == ["    class etl,batch_completed changed", "    class import_failed added"]
