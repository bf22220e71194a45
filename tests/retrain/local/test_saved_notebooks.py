"""Executing notebooks: a failure is one message, and the file does not change."""

import os
from pathlib import Path

import nbformat
import pytest

from analysis.notebooks import NotebookError, execute
from retrain.local.notebook import find_config, main

OTHER = """
name = "shop"
[aws]
account = "210987654321"
region = "eu-central-1"
[source]
engine = "mysql"
connection = "shop-db"
[datasets.interactions]
table = "clicks"
[datasets.interactions.columns]
USER_ID = "clicks.customer"
ITEM_ID = "clicks.sku"
TIMESTAMP = "clicks.at"
[batch_inference]
table = "customers"
user_id = "customers.id"
"""


def notebook(directory: Path, *cells: str) -> Path:
    path = directory / "1-mine.ipynb"
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(written, path)
    return path


def test_the_configuration_is_found_beside_a_notebook_and_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "shop.toml").write_text(OTHER, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "notebooks")

    above = find_config("shop.toml")
    (tmp_path / "notebooks" / "shop.toml").write_text(OTHER, encoding="utf-8")

    assert above == tmp_path / "shop.toml"
    assert find_config("shop.toml") == tmp_path / "notebooks" / "shop.toml"
    assert find_config("none.toml") == Path("none.toml")


def test_a_cell_that_fails_is_named_with_its_error(tmp_path: Path) -> None:
    path = notebook(tmp_path, "price = 1", 'raise ValueError("no such price")', "price")
    before = path.read_bytes()

    with pytest.raises(NotebookError) as caught:
        execute(path, environment=os.environ)

    assert str(caught.value) == (
        "1-mine.ipynb: code cell 2 failed: ValueError: no such price;"
        " open the notebook and run its cells up to that one"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OTHER, 'engine = "mysql", and only a PostgreSQL is started here; name a database'),
        (OTHER.replace("sku", "sku\nITEM_ID = 1"), "shop.toml: 1 mistake"),
    ],
)
def test_a_configuration_that_is_not_the_samples_ends_in_a_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path, config = notebook(tmp_path, "1"), tmp_path / "shop.toml"
    config.write_text(text, encoding="utf-8")
    before = path.read_bytes()

    with pytest.raises(SystemExit) as caught:
        main(["--config", str(config), str(path)])

    error = str(caught.value)
    assert error.startswith("ERROR: ")
    assert message in error
    assert error.endswith("\nWhat was not executed keeps its outputs.")
    assert path.read_bytes() == before
