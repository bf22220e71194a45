"""Wordings: numbers with their noun."""

import pytest

from workflow.spelling import counted


@pytest.mark.parametrize(
    ("number", "spec", "words"),
    [(0, ",", "0 runs"), (1, ",", "1 run"), (1_200, ",", "1,200 runs"), (1.0, ",.4g", "1 run")],
)
def test_one_is_singular(number: float, spec: str, words: str) -> None:
    assert counted(number, "run", spec) == words
