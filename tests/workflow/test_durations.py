"""Durations in words."""

import pytest

from workflow.durations import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"),
        (0.0072, "7 ms"),
        (1.24, "1.2 s"),
        (9.97, "10 s"),
        (48.4, "48 s"),
        (59.8, "1 min"),
        (125, "2 min 5 s"),
        (3_599.9, "1 h"),
        (7_980, "2 h 13 min"),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_duration_in_whole_seconds():
    assert [duration(seconds, whole=True) for seconds in (0.0, 0.4, 1.24, 59.8, 125)] == [
        "0 s",
        "0 s",
        "1 s",
        "1 min",
        "2 min 5 s",
    ]
