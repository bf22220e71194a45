"""The picture of a definition, checked on the parsed SVG: states, positions, words."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings

from tests.histories import (
    BEGIN,
    entered,
    event,
    events,
    exited,
    iteration,
    map_started,
    task_failed,
)
from tests.workflow.definitions import definitions
from workflow.definition.asl import scopes, states
from workflow.definition.folding import drawn
from workflow.definition.wording import doing
from workflow.picture import PictureError, measure, picture
from workflow.picture.labels import wrap_label
from workflow.picture.lettering import NAME_SIZE, text_width, wrap_text
from workflow.runs.progress import Passage, Progress, StateRecord, progress_of

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def retraining():
    return json.loads((ROOT / "asl" / "retraining.asl.json").read_text(encoding="utf-8"))


def task(**more):
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", **more}


def caught(target, *errors):
    return [{"ErrorEquals": list(errors or ("States.ALL",)), "Next": target}]


SMALL = {
    "StartAt": "Train",
    "States": {
        "Train": task(Catch=caught("Failed"), Next="Wait a Little"),
        "Wait a Little": {"Type": "Wait", "Seconds": 90, "Next": "Ready?"},
        "Ready?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.status", "StringEquals": "ACTIVE", "Next": "Both"},
                {"Variable": "$.status", "StringEquals": "CREATE FAILED", "Next": "Failed"},
            ],
            "Default": "Wait a Little",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Left", "States": {"Left": {"Type": "Pass", "End": True}}},
                {
                    "StartAt": "Each",
                    "States": {
                        "Each": {
                            "Type": "Map",
                            "ItemsPath": "$.items",
                            "ItemProcessor": {
                                "StartAt": "Inner",
                                "States": {"Inner": {"Type": "Succeed"}},
                            },
                            "End": True,
                        }
                    },
                },
            ],
            "Catch": caught("Failed", "TooLarge", "TooSmall"),
            "End": True,
        },
        "Failed": {"Type": "Fail", "Error": "NoVersion"},
    },
}


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314 - our own text, not untrusted data


def states_of(root):
    """Return the groups of the states by name; fails if one is there twice."""
    groups = [group for group in root.iter(f"{SVG}g") if "data-state" in group.attrib]
    names = Counter(group.get("data-state") for group in groups)
    assert set(names.values()) <= {1}
    return {group.get("data-state"): group for group in groups}


def box_of(group):
    """Return left, top, right, bottom of a state's outline."""
    shape = next(child for child in group if child.get("class") == "box")
    if shape.tag == f"{SVG}rect":
        x, y, width, height = (float(shape.get(name)) for name in ("x", "y", "width", "height"))
        cards = [child for child in group if child.get("class") == "box"]
        if group.get("data-type") == "Map":
            x, y = (min(float(card.get(name)) for card in cards) for name in ("x", "y"))
            width, height = width + 5, height + 5
        return x, y, x + width, y + height
    numbers = list(map(float, re.findall(r"-?[\d.]+", shape.get("d"))))
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


def areas(root):
    """Yield for each scope its state names and its transitions, the machine's first."""
    machine = next(group for group in root if group.tag == f"{SVG}g")
    inner = [group for group in root.iter(f"{SVG}g") if "area" in group.get("class", "").split()]
    for area in (machine, *inner):
        yield (
            [child.get("data-state") for child in area if child.get("data-state")],
            [child for child in area if "data-from" in child.attrib],
        )


def line_points(transition):
    """Return the points of a transition's line, with the corners of its bends, source first."""
    line = next(child for child in transition if child.get("class") == "line")
    points = []
    for command, text in re.findall(r"([MLQ])([^MLQ]+)", line.get("d")):
        numbers = list(map(float, text.split()))
        if command == "Q":
            points[-1] = (numbers[0], numbers[1])
        else:
            points.append((numbers[0], numbers[1]))
    return points[::-1] if transition.get("data-type") == "catch" else points


def ends_and_type(transition):
    """Return a drawn transition's source, target and type."""
    return tuple(transition.get(f"data-{name}") for name in ("from", "to", "type"))


def arrow_tip(transition):
    head = next(child for child in transition if child.get("class") == "head")
    return tuple(map(float, re.match(r"M(\S+) (\S+?)L", head.get("d")).groups()))


def note_of(group):
    return next(child.text for child in group if child.get("class") == "note")


def overlap(first, second, margin=0.0):
    return (
        first[0] < second[2] + margin
        and second[0] < first[2] + margin
        and first[1] < second[3] + margin
        and second[1] < first[3] + margin
    )


def segments(points):
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        yield min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)


def assert_sound(definition, root, *, unfold=False):
    """Every node once, no two boxes on each other, every transition drawn, legible labels."""
    groups = states_of(root)
    drawings = [drawn(scope, unfold=unfold) for scope in scopes(definition)]
    assert set(groups) == {name for drawing in drawings for name in drawing.nodes}
    boxes = {name: box_of(group) for name, group in groups.items()}
    lines = []
    for names, transitions in areas(root):
        for first, second in itertools.combinations(names, 2):
            assert not overlap(boxes[first], boxes[second]), (first, second)
        lines += map(ends_and_type, transitions)
    expected = {
        (transition.source, transition.target, transition.type)
        for drawing in drawings
        for transition in drawing.transitions
    }
    assert Counter(lines) == Counter(expected)
    for group in groups.values():
        outer = box_of(group)
        for inner in group.iter(f"{SVG}g"):
            if inner is not group and inner.get("data-state"):
                left, top, right, bottom = box_of(inner)
                assert outer[0] < left and outer[1] < top
                assert right < outer[2] and bottom < outer[3]


@pytest.mark.parametrize("name", ["small", "retraining"])
@pytest.mark.parametrize("unfold", [False, True])
def test_every_state_and_transition_is_there_once_and_nothing_overlaps(name, unfold, retraining):
    definition = {"small": SMALL, "retraining": retraining}[name]

    root = parsed(picture(definition, unfold=unfold))

    assert_sound(definition, root, unfold=unfold)
    if unfold:
        assert set(states_of(root)) == {name for _, name, _ in states(definition)}


def test_transitions_lead_from_border_to_border_and_over_no_box(retraining):
    root = parsed(picture(retraining))
    boxes = {name: box_of(group) for name, group in states_of(root).items()}

    for names, transitions in areas(root):
        for transition in transitions:
            source, target, _ = ends_and_type(transition)
            points = line_points(transition)
            if source:
                assert overlap((*points[0], *points[0]), boxes[source], 0.2)
            if target:
                assert overlap((*arrow_tip(transition), *arrow_tip(transition)), boxes[target], 0.2)
            for left, top, right, bottom in segments(points):
                assert min(right - left, bottom - top) < 0.2
            for name in set(names) - {source, target}:
                for segment in segments([*points, arrow_tip(transition)]):
                    assert not overlap(segment, boxes[name]), (source, target, name)


def test_labels_overlap_no_box_and_no_other_label(retraining):
    for definition in (SMALL, retraining):
        root = parsed(picture(definition))
        grounds = []
        for ground in root.iter(f"{SVG}rect"):
            if ground.get("class") == "ground":
                x, y, width, height = (float(ground.get(n)) for n in ("x", "y", "width", "height"))
                grounds.append((x, y, x + width, y + height))
        leaves = [box_of(g) for g in states_of(root).values() if "leaf" in g.get("class")]

        for ground in grounds:
            assert not any(overlap(ground, leaf) for leaf in leaves)
        for first, second in itertools.combinations(grounds, 2):
            assert not overlap(first, second)


def test_labels_give_the_condition_of_a_transition():
    root = parsed(picture(SMALL))

    assert [label.text for label in root.iter(f"{SVG}text") if label.get("class") == "label"] == [
        "ACTIVE",
        "CREATE FAILED",
        "otherwise",
        "TooLarge or TooSmall",
    ]
    titles = [
        group.find(f"{SVG}title").text for group in root.iter(f"{SVG}g") if group.get("data-from")
    ]
    assert 'Ready? → Failed: when $.status is "CREATE FAILED"' in titles
    assert "Train → Failed: on States.ALL" in titles


def test_types_differ_by_outline_icon_and_words_not_by_colour_alone():
    groups = states_of(parsed(picture(SMALL)))
    notes = {
        name: next(child.text for child in group if child.get("class") == "note")
        for name, group in groups.items()
    }
    icons = {
        group.get("data-type"): tuple(
            child.get("d") for child in group if child.get("class") in {"tile", "glyph", "solid"}
        )
        for group in groups.values()
    }
    outlines = {
        group.get("data-type"): [child for child in group if child.get("class") == "box"]
        for group in groups.values()
    }

    assert notes == {
        "Train": "Lambda invoke",
        "Wait a Little": "Wait 1 min 30 s",
        "Ready?": "Choice on $.status",
        "Both": "2 branches at the same time",
        "Left": "Pass",
        "Each": "for each of $.items",
        "Inner": "Succeed",
        "Failed": "Fail: NoVersion",
    }
    assert len(set(icons.values())) == len(icons) == 8
    assert {state_type: len(shapes) for state_type, shapes in outlines.items()} == {
        "Task": 1,
        "Wait": 1,
        "Choice": 1,
        "Parallel": 3,
        "Pass": 1,
        "Map": 3,
        "Succeed": 1,
        "Fail": 1,
    }
    assert outlines["Choice"][0].tag == f"{SVG}path"
    assert float(outlines["Wait"][0].get("rx")) > float(outlines["Task"][0].get("rx"))


def test_lines_of_a_catch_are_dashed():
    svg = picture(SMALL)
    groups = parsed(svg).iter(f"{SVG}g")

    assert {
        (group.get("data-from"), group.get("data-to"))
        for group in groups
        if {"transition", "catch"} <= set(group.get("class", "").split())
    } == {("Train", "Failed"), ("Both", "Failed")}
    assert re.search(r"\.catch>\.line\{[^}]*stroke-dasharray:5 4", svg)


def test_catches_of_one_target_share_a_lane(retraining):
    root = parsed(picture(retraining))
    _, transitions = next(areas(root))
    courses = {
        transition.get("data-from"): line_points(transition)
        for transition in transitions
        if ends_and_type(transition)[1:] == ("Report Failure", "catch")
    }

    assert len(courses) == 9
    assert len({points[-1] for points in courses.values()}) == 1
    assert len({points[-2][0] for points in courses.values()}) == 1


def test_the_main_path_runs_straight_down(retraining):
    boxes = {name: box_of(g) for name, g in states_of(parsed(picture(retraining))).items()}
    path = ["ETL", "List Datasets", "Create Solution Version", "Solution Version Active?"]
    path += ["Trigger Batch Inference", "Batch Completed?", "Filter Recommended Item"]
    middles = [(boxes[name][0] + boxes[name][2]) / 2 for name in path]

    assert max(middles) - min(middles) < 1
    assert [boxes[name][1] for name in path] == sorted(boxes[name][1] for name in path)


def test_start_and_end_are_marked():
    root = parsed(picture(SMALL))
    words = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "word"]
    marks = Counter(
        group.get("class")
        for group in root.iter(f"{SVG}g")
        if group.get("class") in {"start", "end"}
    )

    assert words == ["Start", "End"]
    assert marks == {"start": 4, "end": 3}


def test_the_same_definition_gives_the_same_bytes(retraining):
    program = (
        "import hashlib, json, sys; from workflow.picture import picture;"
        "print(hashlib.sha256(picture(json.load(sys.stdin)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(retraining),
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1
    assert picture(retraining) == picture(retraining)


def test_importing_the_picture_does_not_load_the_layout_engine():
    program = "import sys, workflow.picture; print('graphlay' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert process.stdout.strip() == "False"


def test_a_picture_stands_on_its_own(retraining):
    svg = picture(retraining)

    assert re.findall(r"https?://[^\"'\s<]*", svg) == ["http://www.w3.org/2000/svg"]
    for reference in ("href", "url(", "@import", "<script", "<image", "<foreignObject", "onload"):
        assert reference not in svg


def test_several_pictures_in_one_page_share_no_id_and_no_rule():
    svgs = picture(SMALL), picture(SMALL, title="B"), picture(SMALL, picture_id="mine")
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in svgs]

    assert ids[2] == ["mine", "mine-title", "mine-desc"]
    assert not set(ids[0]) & set(ids[1])
    for svg, (root, *_) in zip(svgs, ids, strict=True):
        style = svg.partition("<style>")[2].partition("</style>")[0]
        style = style.replace("@media (prefers-color-scheme:dark){", "")
        for selectors in re.findall(r"([^{}]+)\{[^}]*\}", style):
            assert all(f"#{root}" in selector for selector in selectors.split(","))


def test_a_picture_follows_the_page_between_light_and_dark():
    svg = picture(SMALL, picture_id="p")

    for selector in (
        "@media (prefers-color-scheme:dark){#p{--canvas:#0d1117;",
        '[data-theme="dark"] #p,',
        '[data-jp-theme-light="false"] #p,',
        "body.vscode-dark #p,",
        '[data-theme="light"] #p,',
        '[data-jp-theme-light="true"] #p,',
        "body.vscode-light #p,",
    ):
        assert selector in svg
    used = set(re.findall(r"var\(--([a-z-]+)\)", svg))
    for properties in re.findall(r"\{(--canvas[^}]*)\}", svg):
        assert used <= set(re.findall(r"--([a-z-]+):", properties))


def test_a_screen_reader_gets_a_title_and_a_description():
    root = parsed(picture(SMALL, title="Retraining"))
    title, description = root[0], root[1]

    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert (title.tag, title.text) == (f"{SVG}title", "Retraining")
    assert (description.tag, description.text) == (
        f"{SVG}desc",
        "8 states, the first is Train.",
    )


def test_an_execution_is_shown_by_colour_sign_and_words():
    progress = Progress(
        status="FAILED",
        states={
            "Train": StateRecord("succeeded", 1, 3, 1.24),
            "Wait a Little": StateRecord("succeeded", 4, 4, 360.0),
            "Ready?": StateRecord("succeeded", 4, 4, 0.01),
            "Both": StateRecord("caught", 1, 1, 5.0),
            "Each": StateRecord("aborted", 1, 1, 2.0, done=1, items=3),
            "Inner": StateRecord("succeeded", 1, 1, 0.0, done=1, items=3),
            "Failed": StateRecord("failed", 1, 1, 0.0),
        },
        passages={
            Passage("Train", "Wait a Little"): 1,
            Passage("Wait a Little", "Ready?"): 4,
            Passage("Ready?", "Wait a Little"): 3,
            Passage("Ready?", "Both"): 1,
            Passage("Both", "Failed", caught=True): 1,
        },
        seconds=370.0,
    )
    root = parsed(picture(SMALL, progress))
    groups = states_of(root)
    shown = {
        name: (
            group.get("data-status"),
            next(child.text for child in group if child.get("class") == "note"),
            sum(child.get("class") == "badge" for child in group),
        )
        for name, group in groups.items()
    }
    taken = {
        ends_and_type(group)
        for group in root.iter(f"{SVG}g")
        if {"transition", "taken"} <= set(group.get("class", "").split())
    }

    assert shown == {
        "Train": ("succeeded", "1.2 s · 3×", 1),
        "Wait a Little": ("succeeded", "6 min · 4×", 1),
        "Ready?": ("succeeded", "4×", 1),
        "Both": ("caught", "caught · 5 s", 1),
        "Left": (None, "Pass", 0),
        "Each": ("aborted", "aborted · 2 s · 1 of 3", 1),
        "Inner": ("succeeded", "1 of 3", 1),
        "Failed": ("failed", "failed", 1),
    }
    assert "unreached" in groups["Left"].get("class").split()
    assert taken == {
        ("", "Train", "start"),
        ("Train", "Wait a Little", "next"),
        ("Wait a Little", "Ready?", "next"),
        ("Ready?", "Wait a Little", "default"),
        ("Ready?", "Both", "choice"),
        ("Both", "Failed", "catch"),
        ("", "Each", "start"),
        ("", "Inner", "start"),
    }
    assert root.find(f"{SVG}desc").text == (
        "8 states, the first is Train. The execution is FAILED: "
        "4 succeeded, 1 caught, 1 aborted, 1 failed."
    )


def test_an_execution_does_not_move_what_is_drawn(retraining):
    progress = Progress("RUNNING", {"ETL": StateRecord("running", 1, 2, None, running=1)}, {}, 1.0)
    plain, running = (parsed(picture(retraining, each)) for each in (None, progress))

    assert plain.get("viewBox") == running.get("viewBox")
    assert {name: box_of(group) for name, group in states_of(plain).items()} == {
        name: box_of(group) for name, group in states_of(running).items()
    }


@pytest.mark.parametrize(
    ("record", "state_type", "words"),
    [
        (StateRecord("running", 1, 1, None, running=1), "Task", ""),
        (StateRecord("running", 25, 25, 300.0, running=1), "Wait", "5 min · 25×"),
        (StateRecord("succeeded", 1, 1, 0.004), "Choice", ""),
        (StateRecord("timed out", 1, 2, 7_980.0), "Task", "timed out · 2 h 13 min · 2×"),
        (StateRecord("succeeded", 3, 3, 12.0, done=3, items=3), "Task", "12 s · 3× · 3 of 3"),
    ],
)
def test_the_note_of_a_record(record, state_type, words):
    assert measure(record, state_type) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (task(Parameters={"FunctionName": "labbase-get-status"}), "Lambda labbase-get-status"),
        (
            task(Arguments={"FunctionName": "arn:aws:lambda:r:1:function:rank:live"}),
            "Lambda rank:live",
        ),
        (task(Resource="arn:aws:lambda:r:1:function:rank"), "Lambda rank"),
        (task(Resource="arn:aws:states:r:1:activity:by-hand"), "Activity by-hand"),
        (task(Resource="arn:aws:states:::glue:startJobRun.sync"), "Glue startJobRun"),
        (task(Resource="arn:aws:states:::aws-sdk:s3:putObject"), "S3 putObject"),
        (
            task(Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
            "SQS sendMessage, wait for token",
        ),
        ({"Type": "Wait", "SecondsPath": "$.seconds"}, "Wait $.seconds"),
        ({"Type": "Wait", "Seconds": "{% $pause %}"}, "Wait $pause"),
        ({"Type": "Wait", "Timestamp": "2024-06-01T00:00:00Z"}, "Wait until 2024-06-01T00:00:00Z"),
        ({"Type": "Map"}, "for each item"),
        (
            {
                "Type": "Map",
                "Items": "{% $rows %}",
                "MaxConcurrency": 3,
                "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}},
            },
            "for each of $rows, 3 at a time (distributed)",
        ),
        ({"Type": "Parallel", "Branches": [{}]}, "one branch"),
        ({"Type": "Fail", "ErrorPath": "$.e"}, "Fail"),
    ],
)
def test_the_note_of_a_state(state, words):
    assert doing(state) == words


def test_names_are_wrapped_where_they_may_break_and_nothing_is_lost():
    for name in (
        "Wait X Seconds for Batch Inference",
        "CheckInventoryAvailabilityForOrderAndReserveItInTheWarehouse",
        "check_inventory_availability_for_order",
        "x" * 80,
        "推薦アイテムのフィルタリングとバッチ推論の結果の書き出し",
    ):
        lines = wrap_text(name, 180.0, NAME_SIZE)

        assert all(text_width(line, NAME_SIZE) <= 180 for line in lines)
        assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert wrap_text("Filter Recommended Item", 180.0, NAME_SIZE) == ("Filter Recommended", "Item")


def test_any_name_makes_legal_xml():
    name = "a <b> & \"c\" \x00\x1b\ufffe 😀 'd'"
    definition = {"StartAt": name, "States": {name: task(End=True)}}

    (drawn_name,) = states_of(parsed(picture(definition, title=name)))

    assert drawn_name == "a <b> & \"c\" ��� 😀 'd'"


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({}, "the machine has no States to draw"),
        ({"States": {"A": {"Type": "Succeed"}}}, "the machine has no StartAt to draw"),
        (
            {"StartAt": "B", "States": {"A": {"Type": "Succeed"}}},
            "the machine starts at 'B', which is no state of the machine: it has 'A'",
        ),
        (
            {"StartAt": "A", "States": {"A": task(Next="C"), "B": {"Type": "Fail"}}},
            "'A' leads to 'C', which is no state of the machine: it has 'A', 'B'",
        ),
        ({"StartAt": "A", "States": {"A": {}}}, "'A' has no Type, so nobody knows how to draw it"),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Map", "Iterator": {}, "End": True}}},
            "'A' has no States to draw",
        ),
    ],
)
def test_a_definition_that_cannot_be_drawn_is_refused_by_name(definition, message):
    with pytest.raises(PictureError) as refused:
        picture(definition)

    assert str(refused.value) == message


def test_a_transition_to_the_same_state_is_drawn_beside_it():
    again = [{"Variable": "$.x", "StringEquals": "again", "Next": "Ready?"}]
    definition = {
        "StartAt": "Ready?",
        "States": {
            "Ready?": {"Type": "Choice", "Choices": again, "Default": "Done"},
            "Done": task(Catch=caught("Done", "Slow"), End=True),
        },
    }
    root = parsed(picture(definition))
    _, transitions = next(areas(root))
    boxes = {name: box_of(group) for name, group in states_of(root).items()}
    loops = [group for group in transitions if group.get("data-from") == group.get("data-to")]

    assert_sound(definition, root)
    assert [loop.get("data-type") for loop in loops] == ["choice", "catch"]
    for loop in loops:
        assert all(x > boxes[loop.get("data-from")][2] - 15 for x, _ in line_points(loop))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_any_definition_of_up_to_thirty_states_is_drawn_soundly(definition):
    assert_sound(definition, parsed(picture(definition)))


def test_a_poll_loop_is_one_box_that_names_its_states(retraining):
    """The picture of the retraining, on which the README opens, fits a screen that way."""
    folded, unfolded = (parsed(picture(retraining, unfold=unfold)) for unfold in (False, True))
    group = states_of(folded)["Solution Version Active?"]

    assert len(states_of(folded)) == 18
    assert float(folded.get("height")) < 0.8 * float(unfolded.get("height"))
    assert group.get("data-type") == "Loop"
    assert note_of(group) == "Poll loop of 3 states"
    assert group.find(f"{SVG}title").text.splitlines()[:4] == [
        "Solution Version Active?",
        "Poll loop of 3 states",
        "Wait X Seconds for Solution Version – Wait: Wait $.job.waitSeconds",
        "Get Solution Version Status – Task: Lambda labbase-get-status",
    ]
    assert folded.find(f"{SVG}desc").text == (
        "24 states, 9 of them in 3 poll loops, the first is Begin Run."
    )


def polls(*passes):
    """Return the events of visits to states of `LOOP`."""
    types = {"Wait": "Wait", "Get": "Task", "Ready?": "Choice"}
    for name in passes:
        yield entered(name, types[name])
        yield exited(name, types[name])


LOOP = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Get"},
        "Get": task(Next="Ready?", Catch=caught("Failed")),
        "Ready?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.s", "StringEquals": "ACTIVE", "Next": "Done"}],
            "Default": "Wait",
        },
        "Done": {"Type": "Succeed"},
        "Failed": {"Type": "Fail"},
    },
}


@pytest.mark.parametrize(
    ("history", "shown", "taken"),
    [
        ([], (None, "Poll loop of 3 states"), []),
        ([entered("Wait", "Wait")], ("running", "Poll loop of 3 states"), ["start"]),
        (
            [*polls("Wait", "Get", "Ready?"), entered("Wait", "Wait")],
            ("running", "3 s · 1 poll"),
            ["start"],
        ),
        (
            [*polls(*["Wait", "Get", "Ready?"] * 2), entered("Done", "Succeed")],
            ("succeeded", "6 s · 2 polls"),
            ["start", "choice"],
        ),
        (
            [
                *polls("Wait"),
                entered("Get"),
                event("TaskScheduled"),
                task_failed("Lost", "no such job"),
                exited("Get"),
                entered("Failed", "Fail"),
            ],
            ("caught", "caught · 4 s · 1 poll"),
            ["start", "catch"],
        ),
    ],
)
def test_a_folded_loop_shows_its_status_its_whole_time_and_its_polls(history, shown, taken):
    root = parsed(picture(LOOP, progress_of(events(*history))))
    group = states_of(root)["Ready?"]
    lines = [
        ends_and_type(line)[2]
        for line in root.iter(f"{SVG}g")
        if {"transition", "taken"} <= set(line.get("class", "").split())
    ]

    assert (group.get("data-status"), note_of(group)) == shown
    assert sorted(lines) == sorted(taken)


def test_the_loops_of_a_map_take_as_long_as_the_slowest_item():
    """One item waits long, the other has slow polls: the longest of each are not of one item."""
    machine = {
        "StartAt": "Each",
        "States": {"Each": {"Type": "Map", "ItemProcessor": LOOP, "End": True}},
    }
    history = events(
        entered("Each", "Map"),  # 1
        map_started(2),  # 2
        iteration("Started", 0, "Each", previousEventId=2),  # 3
        iteration("Started", 1, "Each", previousEventId=2),  # 4
        entered("Wait", "Wait", previousEventId=3),  # 5
        entered("Wait", "Wait", previousEventId=4),  # 6
        exited("Wait", "Wait", previousEventId=5),  # 7: the first item waits 10 seconds
        entered("Get", previousEventId=7),  # 8
        exited("Get", previousEventId=8),  # 9
        entered("Ready?", "Choice", previousEventId=9),  # 10
        exited("Wait", "Wait", previousEventId=6),  # 11: the second one waits 1, and polls for 8
        entered("Get", previousEventId=11),  # 12
        exited("Get", previousEventId=12),  # 13
        entered("Ready?", "Choice", previousEventId=13),  # 14
        exited("Ready?", "Choice", previousEventId=14),  # 15
    )
    times = [0, 0, 0, 0, 0, 0, 10, 10, 11, 11, 1, 1, 9, 9, 9]
    for each, second in zip(history, times, strict=True):
        each["timestamp"] = BEGIN + timedelta(seconds=second)

    progress = progress_of(history, now=BEGIN + timedelta(seconds=11))
    group = states_of(parsed(picture(machine, progress)))["Ready?"]

    assert (group.get("data-status"), note_of(group)) == ("running", "11 s · 2 polls · 1 of 2")


def test_alternatives_of_a_label_begin_lines():
    lines, _ = wrap_label("CREATE FAILED or CREATE STOPPED")

    assert lines == ("CREATE FAILED", "or CREATE STOPPED")
    assert wrap_label("A or B or C")[0] == ("A or B or C",)
