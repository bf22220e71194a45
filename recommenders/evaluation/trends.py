"""The offline metric of trends, by Amazon Personalize's definition.

https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

import numpy as np

from recommenders.data.interactions import Histories, Interactions
from recommenders.evaluation.names import DEPTH
from recommenders.models.trending import Trending, increase


def trend_prediction_accuracy(interactions: Interactions, interval: int) -> float:
    """Return the share of the newest interval's increase that the earlier intervals predict.

    It is the increase of the items that a model trained without the newest interval lists first,
    over that of the 25 items that increase most; 0 if nothing increases or nothing is left to
    train on.

    Args:
        interactions: All data.
        interval: Length of an interval, seconds.
    """
    newest = interactions.timestamps.max() - interactions.timestamps < interval
    rising = np.maximum(increase(interactions, interval), 0.0)
    most = np.sort(rising)[-DEPTH:].sum()
    if newest.all() or most == 0.0:
        return 0.0
    model = Trending(interval=interval).fit(interactions.of_events(~newest))
    ((listed, _scores),) = model.recommend_histories(Histories.of([[]]), DEPTH)
    return float(rising[listed[0]].sum() / most)
