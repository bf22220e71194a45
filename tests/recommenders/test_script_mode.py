"""The scripts of the packaged model, as SageMaker's containers run them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recommenders import Interactions, load_recommender
from recommenders.models.hybrid import Hybrid
from tests.workflow.options.test_models import own
from workflow.definition.own_models.source import ENTRY, model_source

USERS, ITEMS, EVENTS = 40, 20, 12


def write(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, doublequote=False, escapechar="\\")  # as Spark does
        writer.writerow(header.split(","))
        writer.writerows(rows)


def events() -> list[tuple[str, str, int]]:
    """Return events of users who each go through their own part of the items."""
    return [
        (f"u{user}", f"i{(user * 3 + step) % ITEMS}", 1_700_000_000 + user + 60 * step)
        for user in range(USERS)
        for step in range(EVENTS)
    ]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a source and channels."""
    root = tmp_path_factory.mktemp("container")
    source = model_source(own(), "own")
    assert source is not None
    for name, content in source.files.items():
        path = root / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    rows = events()
    write(root / "interactions" / "part-0.csv", "USER_ID,ITEM_ID,TIMESTAMP", rows[::2])
    write(root / "interactions" / "part-1.csv", "USER_ID,ITEM_ID,TIMESTAMP", rows[1::2])
    columns = "ITEM_ID,INDUSTRY,JOB_TYPE,SALARY,TITLE,DESCRIPTION,CREATION_TIMESTAMP"
    write(
        root / "items" / "part-0.csv",
        columns,
        [(f"i{n}", "IT", "full", 100 + n, f'a "title", {n}', "", "") for n in range(ITEMS + 1)],
    )
    columns = "USER_ID,DEPARTMENT,FACULTY,PREFECTURE,GRADE"
    write(
        root / "users" / "part-0.csv", columns, [(f"u{n}", "d", "f", "p", 2) for n in range(USERS)]
    )
    return root


def run(container: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (container / "model").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, str(container / "code" / ENTRY), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "RETRAINING_SCRIPT": script,
            "SM_MODEL_DIR": str(container / "model"),
            **{
                f"SM_CHANNEL_{name.upper()}": str(container / name)
                for name in ("interactions", "items", "users")
            },
        },
        cwd=container,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(container: Path) -> subprocess.CompletedProcess[str]:
    return run(container, "train.py", "--factors", "8", "--recency", "False", "--seed", "3")


def test_it_trains_the_model_of_the_package(
    container: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    assert trained.returncode == 0, trained.stderr
    model = load_recommender(container / "model" / "hybrid")
    alone = Hybrid(factors=8, recency=False, seed=3)

    assert isinstance(model, Hybrid)
    assert (model.factors, model.recency, model.seed) == (8, False, 3)
    assert set(model.item_ids) == {f"i{n}" for n in range(ITEMS + 1)}
    users, items, times = zip(*events(), strict=True)
    alone.fit(Interactions.from_events(users, items, times, catalogue=[f"i{ITEMS}"]))
    assert model.parameters() == alone.parameters()


def test_its_log_holds_personalizes_metrics(trained: subprocess.CompletedProcess[str]) -> None:
    assert f"{USERS * EVENTS} events of {USERS} users, {ITEMS + 1} items" in trained.stdout
    assert "\nnormalized_discounted_cumulative_gain_at_10=" in trained.stdout


def test_the_source_is_in_the_model_for_the_containers_that_serve(
    container: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    code = container / "model" / "code"

    assert (code / "inference.py").is_file()
    assert (code / "requirements.txt").read_text() == "implicit==0.7.3\n"
    assert (code / "recommenders" / "recommender.py").is_file()
    assert not (code / ENTRY).exists()


def test_it_makes_lists_in_personalizes_form(
    container: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    lines = '{"userId": "u1"}\n\n{"userId": "nobody"}\nx\n{"itemId": "i1"}\n'
    asked = (
        "import sys, inference as i\n"
        f"model = i.model_fn({str(container / 'model')!r})\n"
        "print(i.output_fn(i.predict_fn(i.input_fn(sys.stdin.read(), ''), model), 'a')[0], end='')"
    )
    answered = subprocess.run(
        [sys.executable, "-c", asked],
        env={"PATH": os.environ["PATH"], "RETRAINING_NUM_RESULTS": "5"},
        cwd=container / "model" / "code",
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )

    first, unknown, broken, item = map(json.loads, answered.stdout.splitlines())
    assert first["input"] == {"userId": "u1"}
    assert len(first["output"]["recommendedItems"]) == len(first["output"]["scores"]) == 5
    assert first["output"]["scores"] == sorted(first["output"]["scores"], reverse=True)
    assert first["error"] is None
    assert len(unknown["output"]["recommendedItems"]) == 5
    assert (broken["output"], broken["error"][:8]) == (None, "not JSON")
    assert item["error"] == 'must be of the form {"userId": "42"}, the id a string'


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("raise ValueError('no events')", 1, "ValueError: no events"),
        ("import sys; sys.exit(3)", 3, ""),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
        ("print('done')", 1, "NoModelError: own.py ended without writing a model"),
    ],
)
def test_a_script_that_fails_fails_the_training(
    tmp_path: Path, container: Path, script: str, code: int, said: str
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own.py").write_text(script, encoding="utf-8")
    entry = (container / "code" / ENTRY).read_bytes()
    (tmp_path / "code" / ENTRY).write_bytes(entry)

    failed = run(tmp_path, "own.py")

    assert failed.returncode == code
    assert said in failed.stderr.rpartition("\n")[0].rpartition("\n")[2] + failed.stderr
