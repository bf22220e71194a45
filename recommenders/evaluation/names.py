"""The names of offline metrics, and the list lengths that they read, as Personalize has them.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

CUTOFFS = (5, 10, 25)
DEPTH = max(CUTOFFS)
COVERAGE = "coverage"
MRR = f"mean_reciprocal_rank_at_{DEPTH}"
NDCG = tuple(f"normalized_discounted_cumulative_gain_at_{k}" for k in CUTOFFS)
PRECISION = tuple(f"precision_at_{k}" for k in CUTOFFS)
METRICS = (COVERAGE, MRR, *NDCG, *PRECISION)
"""The metrics that every recipe of items has."""
