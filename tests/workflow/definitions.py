"""Definitions for tests: a nested definition written by hand, and a strategy that draws any."""

from hypothesis import strategies as st

CAUGHT = ["TooLarge", "TooSmall"]


def task(function, **more):
    """Return a Task that invokes a function, with the guards that the structural check demands."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function},
        "TimeoutSeconds": 60,
        "Retry": [{"ErrorEquals": ["Lambda.ServiceException"]}],
        **more,
    }


def nested():
    """Return a Map around a Parallel; one branch holds a Choice and a Catch, the other a Map."""
    counting = {
        "StartAt": "Count",
        "States": {
            "Count": task(
                "count",
                Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Miscounted"}],
                Next="Enough?",
            ),
            "Enough?": {
                "Type": "Choice",
                "Choices": [
                    {
                        "And": [
                            {"Variable": "$.rows", "NumericGreaterThanEquals": 25},
                            {"Not": {"Variable": "$.source", "StringEquals": "test"}},
                        ],
                        "Next": "Counted",
                    }
                ],
                "Default": "Miscounted",
            },
            "Counted": {"Type": "Succeed"},
            "Miscounted": {"Type": "Fail", "Error": "TooFew"},
        },
    }
    reading = {
        "StartAt": "Each File",
        "States": {
            "Each File": {
                "Type": "Map",
                "ItemsPath": "$.files",
                "Iterator": {
                    "StartAt": "Read",
                    "States": {
                        "Read": task(
                            "read",
                            Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Unread"}],
                            End=True,
                        ),
                        "Unread": {"Type": "Pass", "End": True},
                    },
                },
                "End": True,
            }
        },
    }
    region = {
        "StartAt": "Both",
        "States": {
            "Both": {
                "Type": "Parallel",
                "Branches": [counting, reading],
                "Catch": [{"ErrorEquals": list(CAUGHT), "Next": "Left Out"}],
                "End": True,
            },
            "Left Out": {"Type": "Pass", "End": True},
        },
    }
    return {
        "StartAt": "Each Region",
        "TimeoutSeconds": 600,
        "States": {
            "Each Region": {
                "Type": "Map",
                "ItemsPath": "$.regions",
                "ItemProcessor": region,
                "Next": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cn", "Cs")), max_size=30)


@st.composite
def definitions(draw, most=30, depth=0, taken=None):
    """Draw a definition of at most `most` states in its outer scope, with random transitions."""
    taken = [] if taken is None else taken
    names = []
    for _ in range(draw(st.integers(1, most))):
        names.append(f"{len(taken)} {draw(TEXTS)}")
        taken.append(names[-1])
    any_name = st.sampled_from(names)
    types = ["Task", "Choice", "Wait", "Pass", "Succeed", "Fail"]
    types += ["Map", "Parallel"] if depth < 2 else []
    states = {}
    for number, name in enumerate(names):
        state = states[name] = {"Type": draw(st.sampled_from(types))}
        state_type = state["Type"]
        if state_type == "Choice":
            state["Choices"] = [
                {"Variable": "$.x", "StringEquals": value, "Next": draw(any_name)}
                for value in draw(st.lists(TEXTS, min_size=1, max_size=3))
            ]
            if draw(st.booleans()):
                state["Default"] = draw(any_name)
        elif state_type not in {"Succeed", "Fail"}:
            onward = st.sampled_from(names[number + 1 :] or names)
            state |= draw(st.sampled_from([{"End": True}, {"Next": draw(onward)}]))
        if state_type == "Map":
            state["ItemProcessor"] = draw(definitions(3, depth + 1, taken))
        if state_type == "Parallel":
            branches = range(draw(st.integers(1, 3)))
            state["Branches"] = [draw(definitions(2, depth + 1, taken)) for _ in branches]
        if state_type in {"Task", "Map", "Parallel"}:
            state["Catch"] = [
                {"ErrorEquals": [error], "Next": draw(any_name)}
                for error in draw(st.lists(st.sampled_from(["States.ALL", "Other"]), max_size=2))
            ]
    return {"StartAt": names[0], "States": states}
