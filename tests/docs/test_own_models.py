"""The script of the page on models of one's own: it trains and makes lists as the page says."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lambdas.recommendations import Lists
from tests.docs.test_documentation import blocks
from workflow import parse_config
from workflow.definition.own_models.source import model_source

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-models.md"
SCRIPT, COMPOSED, _ = blocks(PAGE, "python")
TASTES = ("tea", 'of "coffee", \\strong')
NUM_RESULTS = 4


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Write the script at the place that the page's configuration names."""
    file = tmp_path / "models" / "train.py"
    file.parent.mkdir()
    file.write_text(SCRIPT, encoding="utf-8")
    return file


def escaped(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.fixture
def model(script: Path, tmp_path: Path) -> Path:
    """Train on users of two tastes; return the model's directory."""
    channel, model = tmp_path / "interactions", tmp_path / "model"
    model.mkdir()
    channel.mkdir()
    for part, taste in enumerate(TASTES):
        rows = [
            f"{escaped(f'{taste} drinker {user}')},{escaped(f'{taste} {(user + step) % 5}')},1"
            for user in range(10)
            for step in range(3)
        ]
        text = "\n".join(["USER_ID,ITEM_ID,TIMESTAMP", *rows]) + "\n"
        (channel / f"part-{part}.csv").write_text(text, encoding="utf-8")
    environment = {
        **os.environ,
        "SM_CHANNEL_INTERACTIONS": str(channel),
        "SM_MODEL_DIR": str(model),
    }
    subprocess.run([sys.executable, str(script), "--neighbours", "3"], check=True, env=environment)
    return model


def test_each_user_gets_what_goes_with_what_they_had(
    script: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRAINING_NUM_RESULTS", str(NUM_RESULTS))
    spec = importlib.util.spec_from_file_location("page_model", script)
    assert spec is not None and spec.loader is not None
    served: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(served)
    users = [f"{taste} drinker {user}" for taste in TASTES for user in range(10)]
    body = "".join(json.dumps({"userId": user}) + "\n" for user in [*users, "newcomer"])

    requests = served.input_fn(body.encode(), "application/jsonlines")
    text, kind = served.output_fn(
        served.predict_fn(requests, served.model_fn(str(model))), "application/jsonlines"
    )

    rejected: list[str] = []
    lists = Lists(eligible=None, keep=NUM_RESULTS, on_error=rejected.append)
    lines = text.splitlines()
    rows = [
        row
        for line in lines
        for row in lists.rows(line.encode(), lambda user: frozenset(), lambda user: "")
    ]
    assert (rejected, kind) == ([], "application/jsonlines")
    assert [json.loads(line)["input"]["userId"] for line in lines] == [*users, "newcomer"]
    assert len(rows) == NUM_RESULTS * len(lines)
    tastes = {(row[0].partition(" drinker")[0], row[1].rpartition(" ")[0]) for row in rows[:-4]}
    assert tastes == {(taste, taste) for taste in TASTES}


def test_the_page_s_configuration_takes_the_script(script: Path, tmp_path: Path) -> None:
    whole, *_ = blocks(PAGE, "toml")
    source = model_source(parse_config(whole, directory=tmp_path), "item-to-item")

    assert source is not None
    assert (source.script, source.serving) == ("train.py", "train.py")


def test_the_page_s_composition_is_a_workflow() -> None:
    whole, als, _ = blocks(PAGE, "toml")
    before = whole[: whole.index("[models.")]
    values: dict[str, Any] = {"config": parse_config(f"{before}\n{als}")}

    exec(f"from workflow import Stages\n{COMPOSED}", values)  # noqa: S102
