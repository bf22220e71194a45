"""`[backtest]`: how good the lists were that were published last."""

from __future__ import annotations

from pydantic import Field

from workflow.personalize import CUTOFFS
from workflow.settings import Settings

BACKTEST_METRICS = (
    *(f"hit_rate_at_{k}" for k in CUTOFFS),
    *(f"normalized_discounted_cumulative_gain_at_{k}" for k in CUTOFFS),
    "coverage",
)
"""The metrics of a back-test. A test compares them with those that the Spark job measures."""


class BacktestSettings(Settings):
    """Compares, in the Spark job, the lists published last with what people really did since."""

    event_types: list[str] = Field(
        [],
        examples=[["apply"]],
        description="the events that count as success; all of them if left out",
    )
