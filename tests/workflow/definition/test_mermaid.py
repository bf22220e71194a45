"""The Mermaid picture of a definition: states in boxes, transitions, conditions in words."""

from tests.workflow.definitions import nested
from workflow.definition.mermaid import mermaid


def test_branches_of_a_parallel_are_boxes_inside_its_box():
    assert mermaid(nested()) == (
        """\
flowchart TD
    start_of_run(("Start"))
    subgraph each_region_1["Each Region — for each of $.regions"]
        subgraph both_2["Both — 2 branches at the same time"]
            subgraph branch_1_3["branch 1"]
                count_4["Count"]
                enough_5{"Enough?"}
                counted_6(("Counted"))
                miscounted_7[["Miscounted"]]
                count_4 --> enough_5
                count_4 -.-> miscounted_7
                enough_5 -->|"rows ≥ 25 and not source is test"| counted_6
                enough_5 -->|"otherwise"| miscounted_7
            end
            subgraph branch_2_8["branch 2"]
                subgraph each_file_9["Each File — for each of $.files"]
                    read_10["Read"]
                    unread_11["Unread"]
                    read_10 -.-> unread_11
                end
            end
        end
        left_out_12["Left Out"]
        both_2 -.-> left_out_12
    end
    done_13(("Done"))
    each_region_1 --> done_13
    start_of_run --> each_region_1
"""
    )


def test_states_of_one_name_in_two_branches_are_two_nodes():
    branch = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    definition = {
        "StartAt": "P",
        "States": {"P": {"Type": "Parallel", "Branches": [branch, branch], "End": True}},
    }

    assert [line.strip() for line in mermaid(definition).splitlines() if '["A"]' in line] == [
        'a_3["A"]',
        'a_5["A"]',
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
        '    is_b_c_1_1{"Is #lt;b#gt; #amp; #quot;c#quot; #35;1?"}',
        '    end_2(("End"))',
        '    is_b_c_1_1 -->|"#lt; 3"| end_2',
    ]
