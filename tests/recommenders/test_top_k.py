"""The best entries of each row of a block."""

import numpy as np
import pytest

from recommenders.top_k import best, best_eligible


@pytest.mark.parametrize(("width", "n"), [(1, 1), (9, 4), (700, 25), (3000, 40), (50, 80)])
@pytest.mark.parametrize("levels", [1, 3, 10_000_000])
def test_equals_a_stable_sort_ties_by_position(width: int, n: int, levels: int) -> None:
    scores = np.random.default_rng(width).integers(levels, size=(6, width)).astype(np.float32)
    positions, values = best(scores, n)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    assert positions.tolist() == expected.tolist()
    assert values.tolist() == np.take_along_axis(scores, expected, axis=1).tolist()


@pytest.mark.parametrize(("width", "n"), [(1, 1), (9, 4), (700, 25), (3000, 40), (50, 80)])
@pytest.mark.parametrize("share", [0.0, 0.004, 0.5, 1.0])
def test_eligible_entries_equal_a_stable_sort_of_them(width: int, n: int, share: float) -> None:
    random = np.random.default_rng(width)
    scores = random.integers(3, size=(6, width)).astype(np.float32)
    mask = random.random((6, width)) < share
    positions, values, counts = best_eligible(scores.copy(), mask, n)
    for row in range(6):
        order = np.argsort(-scores[row], kind="stable")
        expected = order[mask[row, order]][:n].tolist()
        padding = min(n, width) - len(expected)
        assert counts[row] == len(expected)
        assert positions[row].tolist() == expected + [-1] * padding
        assert values[row].tolist() == scores[row, expected].tolist() + [0.0] * padding
