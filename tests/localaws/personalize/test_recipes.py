"""Every recipe: what it takes, what it trains, how it is measured."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localaws.personalize.data.schemas import parse_schema
from localaws.personalize.data.tables import Table
from localaws.personalize.errors import JobFailedError
from localaws.personalize.training.data import TrainingData
from localaws.personalize.training.recipes import RECIPES, Recipe, find_recipe, recipe_arn
from localaws.personalize.training.solution_config import recommender_recipe, solution_recipes
from localaws.personalize.training.solution_version import Outcome, Training
from recommenders import Actions, Cosine, Event, Hybrid, load_recommender

from .account import Account, avro, refusal

EIGHT = {
    "coverage",
    "mean_reciprocal_rank_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision_at_5",
    "precision_at_10",
    "precision_at_25",
}
SEGMENTS = {"coverage", "hit_at_k", "recall_at_k"}
ACTIONS = {name for name in EIGHT if name.startswith(("coverage", "normal"))} | {
    "precision",
    "recall",
    "area_under_curve",
}
START = 1_700_000_000
EVENT_TYPES = ("View", "Purchase", "Watch", "Click")


def rows() -> list[tuple[str, str, int, str]]:
    """Events of 120 users who keep to the items of their third; every type of event 1,080 times."""
    random = np.random.default_rng(4)
    events = []
    for number in range(4_320):
        user = number % 120
        item = int(random.integers(14)) * 3 + user % 3
        events.append(
            (f"u{user}", f"i{item}", START + 600 * number, EVENT_TYPES[number // 120 % 4])
        )
    return events


def tables() -> dict[str, Table]:
    """All data sets; items have their third as a genre, `cold` ones without events too."""
    users, items, times, event_types = (
        np.array(column, object) for column in zip(*rows(), strict=True)
    )
    names = [f"i{number}" for number in range(42)] + ["cold-0", "cold-1"]
    genre = [f"g{int(name[1:]) % 3}" if name[0] == "i" else f"g{name[-1]}" for name in names]
    offers = [
        (f"u{number}", action, START + number, event_type)
        for number in range(120)
        for action, event_type in (
            ("join", "TAKEN" if number % 3 == 0 else "NOT_TAKEN"),
            ("flip", "TAKEN" if number % 2 else "VIEWED"),
        )
        for _ in range(2)
    ]
    return {
        "INTERACTIONS": Table(
            {"USER_ID": users, "ITEM_ID": items, "TIMESTAMP": times, "EVENT_TYPE": event_types}
        ),
        "ITEMS": Table({"ITEM_ID": np.array(names, object), "GENRE": np.array(genre, object)}),
        "ACTIONS": Table(
            {"ACTION_ID": np.array(["join", "flip", "new"], object), "VALUE": np.array([1, 2, 3])}
        ),
        "ACTION_INTERACTIONS": Table(
            dict(
                zip(
                    ("USER_ID", "ACTION_ID", "TIMESTAMP", "EVENT_TYPE"),
                    (np.array(column, object) for column in zip(*offers, strict=True)),
                    strict=True,
                )
            )
        ),
    }


ITEMS = json.dumps(
    {
        **json.loads(avro("Items", ("ITEM_ID", "string"))),
        "fields": [
            {"name": "ITEM_ID", "type": "string"},
            {"name": "GENRE", "type": "string", "categorical": True},
        ],
    }
)


def run(recipe: Recipe, directory: Path, **config: Any) -> Outcome:
    """Train the recipe on all data."""
    data = TrainingData(tables(), {"ITEMS": parse_schema(ITEMS)}, config)
    return Training({}, (recipe,), data, directory, seed=3).run(lambda fraction: None)


def train(solution: dict[str, Any], data: dict[str, Table], directory: Path) -> None:
    """Train a solution on data without metadata."""
    recipes = solution_recipes(solution)
    training = Training(solution, recipes, TrainingData(data), directory, seed=3)
    training.run(lambda fraction: None)


def test_the_table_has_every_recipe() -> None:
    by_type: dict[str, list[str]] = {}
    for recipe in RECIPES.values():
        if recipe.domain is None:
            by_type.setdefault(recipe.type, []).append(recipe.name.removeprefix("aws-"))
    assert by_type == {
        "USER_PERSONALIZATION": ["user-personalization-v2", "user-personalization"],
        "POPULAR_ITEMS": ["popularity-count"],
        "TRENDING_NOW": ["trending-now"],
        "PERSONALIZED_RANKING": ["personalized-ranking-v2", "personalized-ranking"],
        "RELATED_ITEMS": ["similar-items", "semantic-similarity", "sims"],
        "PERSONALIZED_ACTIONS": ["next-best-action"],
        "USER_SEGMENTATION": ["item-affinity", "item-attribute-affinity"],
    }
    assert [recipe.name for recipe in RECIPES.values() if recipe.domain == "ECOMMERCE"] == [
        "aws-ecomm-customers-who-viewed-x-also-viewed",
        "aws-ecomm-frequently-bought-together",
        "aws-ecomm-popular-items-by-purchases",
        "aws-ecomm-popular-items-by-views",
        "aws-ecomm-recommended-for-you",
    ]
    assert [recipe.name for recipe in RECIPES.values() if recipe.domain == "VIDEO_ON_DEMAND"] == [
        "aws-vod-because-you-watched-x",
        "aws-vod-more-like-x",
        "aws-vod-most-popular",
        "aws-vod-top-picks",
        "aws-vod-trending-now",
    ]


def test_the_table_has_the_features_of_each_recipe() -> None:
    def those(member: str) -> set[str]:
        return {name for name, recipe in RECIPES.items() if getattr(recipe, member)}

    assert those("updates") == {"aws-user-personalization"}
    assert those("segments") == {"aws-item-affinity", "aws-item-attribute-affinity"}
    assert those("batch") == {
        "aws-user-personalization-v2",
        "aws-user-personalization",
        "aws-popularity-count",
        "aws-personalized-ranking-v2",
        "aws-personalized-ranking",
        "aws-similar-items",
        "aws-semantic-similarity",
        "aws-sims",
    }
    assert those("is_semantic") == {"aws-semantic-similarity"}
    assert those("explores") == {
        "aws-user-personalization-v2",
        "aws-user-personalization",
        "aws-next-best-action",
        "aws-ecomm-recommended-for-you",
        "aws-vod-top-picks",
    }
    assert those("live") == those("explores") | {
        "aws-personalized-ranking-v2",
        "aws-personalized-ranking",
    }


@pytest.mark.parametrize(
    ("recipe", "name", "default", "low", "high", "tunable"),
    [
        ("aws-user-personalization", "hidden_dimension", 149, 32, 256, True),
        ("aws-user-personalization", "bptt", 32, 2, 32, True),
        ("aws-user-personalization", "recency_mask", True, 0, 1, True),
        ("aws-user-personalization", "min_user_history_length_percentile", 0.0, 0, 1, False),
        ("aws-user-personalization", "max_user_history_length_percentile", 0.99, 0, 1, False),
        ("aws-user-personalization-v2", "apply_recency_bias", True, 0, 1, False),
        ("aws-personalized-ranking", "bptt", 32, 2, 32, True),
        ("aws-personalized-ranking-v2", "apply_recency_bias", True, 0, 1, False),
        ("aws-similar-items", "item_id_hidden_dim", 100, 30, 200, True),
        ("aws-similar-items", "item_metadata_hidden_dim", 100, 30, 200, True),
        ("aws-sims", "popularity_discount_factor", 0.5, 0, 1, True),
        ("aws-sims", "min_cointeraction_count", 3, 0, 10, True),
        ("aws-sims", "min_user_history_length_percentile", 0.005, 0, 1, False),
        ("aws-sims", "max_user_history_length_percentile", 0.995, 0, 1, False),
        ("aws-sims", "min_item_interaction_count_percentile", 0.01, 0, 1, False),
        ("aws-sims", "max_item_interaction_count_percentile", 0.9, 0, 1, False),
        ("aws-item-affinity", "hidden_dimension", 149, 32, 256, False),
        ("aws-item-attribute-affinity", "hidden_dimension", 149, 32, 256, False),
        ("aws-trending-now", "trend_discovery_frequency", "2 hours", 0, 1, False),
        ("aws-next-best-action", "action_optimization_period", 14, 7, 28, False),
    ],
)
def test_hyperparameters_are_the_documented_ones(
    recipe: str, name: str, default: Any, low: float, high: float, tunable: bool
) -> None:
    known = {
        parameter.name: parameter
        for parameter in (*RECIPES[recipe].parameters, *RECIPES[recipe].features)
    }
    actual = known[name]
    assert (actual.default, actual.low, actual.high, actual.tunable) == (
        default,
        low,
        high,
        tunable,
    )


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_trains_measures_and_saves(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    outcome = run(recipe, tmp_path / "model")
    expected = {
        "USER_SEGMENTATION": SEGMENTS,
        "PERSONALIZED_ACTIONS": ACTIONS,
        "TRENDING_NOW": EIGHT | {"trend_prediction_accuracy"},
    }.get(recipe.type, EIGHT)
    assert set(outcome.metrics) == expected
    assert all(value >= 0.0 for value in outcome.metrics.values())
    assert outcome.tuned is None
    model = load_recommender(tmp_path / "model")
    if recipe.is_semantic:
        assert not recipe.parameters, "AWS exposes none"
    elif recipe.type == "RELATED_ITEMS":
        # Items outside of the percentiles are related to popular ones.
        items = [f"i{number}" for number in range(42)]
        (block,) = model.similar(items, 5)
        own = [
            {int(other[1:]) % 3 for other in related} == {number % 3}
            for number, related in enumerate(block.items)
        ]
        assert sum(own) >= (33 if name == "aws-sims" else 42)
    elif recipe.type in {"USER_PERSONALIZATION", "PERSONALIZED_RANKING"}:
        (ranking,) = model.rank(["u7"], [["i0", "i2", "i4", "i5"]])
        assert ranking.items[0] == "i4"
    elif recipe.segments:
        (segment,) = model.users_of(["i5"], 3)
        assert {int(user[1:]) % 3 for user in segment.users[0]} == {2}
    elif recipe.type == "PERSONALIZED_ACTIONS":
        (block,) = model.recommend(["u9", "u10"], 3)
        chance = [
            dict(zip(*row, strict=True))["join"]
            for row in zip(block.items, block.scores, strict=True)
        ]
        assert chance[0] > 0.5 > chance[1]
        assert (block.items[0, 2], block.scores[0, 2]) == ("new", 0.0)


@pytest.mark.parametrize(
    "name", ["aws-user-personalization", "aws-sims", "aws-item-affinity", "aws-next-best-action"]
)
def test_the_same_data_and_seed_give_the_same_model(name: str, tmp_path: Path) -> None:
    metrics = [run(RECIPES[name], tmp_path / which).metrics for which in ("first", "second")]
    assert metrics[0] == metrics[1]
    first, second = (
        dict(np.load(tmp_path / which / "recommender.npz")) for which in ("first", "second")
    )
    assert all(first[array].tobytes() == second[array].tobytes() for array in first)


def test_a_use_case_learns_from_its_types_of_events(tmp_path: Path) -> None:
    """In whatever case they are written; live events of other types do not count either."""
    data = tables()
    event_types = data["INTERACTIONS"].columns["EVENT_TYPE"]
    items = data["INTERACTIONS"].columns["ITEM_ID"]
    items[event_types == "Purchase"] = "i1"
    event_types[event_types == "Purchase"] = "purchase"
    recipe = RECIPES["aws-ecomm-popular-items-by-purchases"]
    training = Training({}, (recipe,), TrainingData(data), tmp_path / "model", seed=0)
    training.run(lambda fraction: None)
    model = load_recommender(tmp_path / "model")
    (block,) = model.recommend(["u1"], 2)
    assert (block.items[0, 0], block.scores[0].tolist()) == ("i1", [1.0, 0.0])
    assert model.event_types == frozenset({"purchase"})


def test_too_few_events_of_the_type_fail_the_training(tmp_path: Path) -> None:
    data = tables()
    event_types = data["INTERACTIONS"].columns["EVENT_TYPE"]
    event_types[:200][event_types[:200] == "Watch"] = "Glance"
    recipe = RECIPES["aws-vod-top-picks"]
    training = Training({}, (recipe,), TrainingData(data), tmp_path, seed=0)
    with pytest.raises(
        JobFailedError, match="fewer than 1000 interactions after filtering by event type: Watch"
    ):
        event_types[:600][event_types[:600] == "Watch"] = "Glance"
        training.run(lambda fraction: None)


def test_excluded_columns_are_not_trained_on(tmp_path: Path) -> None:
    """Without its genre an item that nobody met is related to what is popular."""
    recipe = RECIPES["aws-similar-items"]
    run(recipe, tmp_path / "with")
    run(recipe, tmp_path / "without", excludedDatasetColumns={"ITEMS": ["GENRE"]})
    run(recipe, tmp_path / "only", includedDatasetColumns={"ITEMS": ["ITEM_ID"]})
    third = []
    for name in ("with", "without", "only"):
        (block,) = load_recommender(tmp_path / name).similar(["cold-1"], 9)
        third.append({int(item[1:]) % 3 for item in block.items[0] if item[0] == "i"})
    assert third == [{1}, {0, 1, 2}, {0, 1, 2}]


def test_hyperparameters_reach_the_model(tmp_path: Path) -> None:
    parameters_of = {
        "aws-user-personalization": {
            "hidden_dimension": "33",
            "bptt": "4",
            "recency_mask": "false",
        },
        "aws-user-personalization-v2": {"apply_recency_bias": "false"},
        "aws-sims": {"popularity_discount_factor": "0.25", "min_cointeraction_count": "7"},
        "aws-similar-items": {"item_id_hidden_dim": "50"},
    }
    made: dict[str, Any] = {}
    for name, parameters in parameters_of.items():
        solution = {
            "recipeArn": recipe_arn(RECIPES[name]),
            "solutionConfig": {"algorithmHyperParameters": parameters},
        }
        directory = tmp_path / name
        train(solution, tables(), directory)
        made[name] = load_recommender(directory)
    hybrid, second = made["aws-user-personalization"], made["aws-user-personalization-v2"]
    assert isinstance(hybrid, Hybrid)
    assert (hybrid.factors, hybrid.sequence_length, hybrid.recency) == (33, 4, False)
    assert (second.factors, second.sequence_length, second.recency) == (44, 32, False)
    sims, similar = made["aws-sims"], made["aws-similar-items"]
    assert isinstance(sims, Cosine)
    assert (sims.popularity_discount, sims.min_common_users, sims.metadata) == (0.25, 7, False)
    assert (similar.neighbours, similar.metadata) == (50, True)


def test_percentiles_leave_users_and_items_out_of_the_learning(tmp_path: Path) -> None:
    """The most active users are left out of training, and still get recommendations."""
    data = tables()
    heavy = [(f"i{number % 42}", START + number) for number in range(400)]
    events = data["INTERACTIONS"]
    more = Table(
        {
            "USER_ID": np.array(["robot"] * 400, object),
            "ITEM_ID": np.array(["i0" if n % 2 else item for n, (item, _) in enumerate(heavy)]),
            "TIMESTAMP": np.array([time for _, time in heavy], object),
            "EVENT_TYPE": np.array(["View"] * 400, object),
        }
    )
    data["INTERACTIONS"] = events + more
    shares = []
    for number, highest in enumerate(("0.99", "1.0")):
        solution = {
            "recipeArn": recipe_arn(RECIPES["aws-user-personalization"]),
            "solutionConfig": {
                "featureTransformationParameters": {"max_user_history_length_percentile": highest}
            },
        }
        directory = tmp_path / str(number)
        train(solution, data, directory)
        model = load_recommender(directory)
        (block,) = model.recommend(["nobody"], 44)
        shares.append(dict(zip(block.items[0], block.scores[0], strict=True))["i0"])
        assert len(model.histories(["robot"])[0]) == 400
    before = np.count_nonzero(events.columns["ITEM_ID"] == "i0")
    robots = np.count_nonzero(more.columns["ITEM_ID"] == "i0")
    assert shares == pytest.approx([before / 4_320, (before + robots) / 4_720], rel=1e-5)


def test_actions_use_live_events_of_both_types(tmp_path: Path) -> None:
    run(RECIPES["aws-next-best-action"], tmp_path / "model")
    model = load_recommender(tmp_path / "model")
    assert isinstance(model, Actions)
    liked = [Event(f"i{3 * number}", "View", number) for number in range(9)]
    (before,) = model.recommend(["new-user"], 3)
    (after,) = model.recommend(["new-user"], 3, live_events={"new-user": liked})
    chances = [
        dict(zip(block.items[0].tolist(), block.scores[0].tolist(), strict=True))["join"]
        for block in (before, after)
    ]
    assert chances[1] > chances[0]


def test_recommenders_take_use_cases_of_their_domain() -> None:
    arn = recipe_arn(RECIPES["aws-vod-most-popular"])
    assert recommender_recipe({"recipeArn": arn}, "VIDEO_ON_DEMAND").name == "aws-vod-most-popular"
    with pytest.raises(ValueError, match="is a use case of VIDEO_ON_DEMAND; the dataset group is "):
        recommender_recipe({"recipeArn": arn}, "ECOMMERCE")
    with pytest.raises(ValueError, match="aws-sims is no use case of a domain; create a solution"):
        recommender_recipe({"recipeArn": recipe_arn(RECIPES["aws-sims"])}, "ECOMMERCE")


def test_recipes_are_found_by_their_arn() -> None:
    assert find_recipe("arn:aws:personalize:::recipe/aws-sims").type == "RELATED_ITEMS"
    with pytest.raises(LookupError, match=r"did you mean .*recipe/aws-sims\?"):
        find_recipe("arn:aws:personalize:::recipe/aws-sim")


@pytest.fixture(scope="module")
def shop(account: Account) -> str:
    """Return the ARN of a dataset group with events and items."""
    group = account.group("shop")
    fields = (("USER_ID", "string"), ("ITEM_ID", "string"), ("EVENT_TYPE", "string"))
    schema = account.schema("shop-events", avro("Interactions", *fields, ("TIMESTAMP", "long")))
    dataset = account.dataset("shop", "Interactions", schema)
    lines = "".join(f"{u},{i},{event_type},{time}\n" for u, i, time, event_type in rows())
    location = account.put("shop/events.csv", "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n" + lines)
    assert account.load("shop-events", dataset, location)["status"] == "ACTIVE"
    return group


@pytest.mark.parametrize(
    "name", ["aws-sims", "aws-similar-items", "aws-personalized-ranking", "aws-trending-now"]
)
def test_a_solution_of_the_recipe_trains(account: Account, shop: str, name: str) -> None:
    solution = account.solution(f"shop-{name[4:]}", shop, name)
    version = account.train(solution)
    assert (version["status"], version["recipeArn"]) == ("ACTIVE", recipe_arn(RECIPES[name]))
    metrics = account.personalize.get_solution_metrics(
        solutionVersionArn=version["solutionVersionArn"]
    )["metrics"]
    assert set(metrics) >= EIGHT


def test_data_that_a_recipe_needs_are_demanded(account: Account, shop: str) -> None:
    solution = account.solution("shop-attributes", shop, "aws-item-attribute-affinity")
    assert refusal(account.personalize.create_solution_version, solutionArn=solution) == (
        "InvalidInputException",
        f"{shop} has no Items data; import some first",
    )


def test_a_frequency_is_one_of_the_documented(account: Account, shop: str) -> None:
    config = {"featureTransformationParameters": {"trend_discovery_frequency": "4 hours"}}
    _, message = refusal(
        account.personalize.create_solution,
        name="shop-trend",
        datasetGroupArn=shop,
        recipeArn=recipe_arn(RECIPES["aws-trending-now"]),
        solutionConfig=config,
    )
    assert message == (
        "recipe aws-trending-now: trend_discovery_frequency must be one of 30 minutes, 1 hour, "
        "2 hours, 3 hours, 1 day, not '4 hours'"
    )
