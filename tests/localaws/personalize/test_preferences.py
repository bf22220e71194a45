"""Preferences besides relevance: an objective, weights of events, popularity, freshness."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from .account import HEADER, INTERACTIONS, Account, avro, refusal

ITEMS, USERS = 40, 80
RECIPE = "aws-user-personalization-v2"


def lines() -> str:
    """Users like the items of their own parity: they view some of them and buy others."""
    dice = np.random.default_rng(5)
    lines = []
    for number in range(2_400):
        user = number % USERS
        buys = dice.random() < 0.4
        item = 2 * min(int(dice.exponential(3)), 9) + user % 2 + (ITEMS // 2 if buys else 0)
        event_type = "buy" if buys else "view"
        lines.append(f"u{user},i{item},{event_type},{int(buys)},{1_700_000_000 + number * 60}\n")
    return HEADER.replace("TIMESTAMP", "EVENT_VALUE,TIMESTAMP") + "".join(lines)


class Shop:
    """A dataset group with prices and times of creation, and versions of its solutions."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.group = account.group("prices")
        clicks = avro(
            "Interactions", *INTERACTIONS, ("EVENT_VALUE", "float"), ("TIMESTAMP", "long")
        )
        events = account.dataset("prices", "Interactions", account.schema("prices-events", clicks))
        job = account.load("prices-events", events, account.put("prices/events.csv", lines()))
        assert job["status"] == "ACTIVE", job
        goods = avro(
            "Items",
            ("ITEM_ID", "string"),
            ("PRICE", "float"),
            ("RATING", ["null", "float"]),
            ("NAME", "string"),
            ("CREATION_TIMESTAMP", "long"),
        )
        items = account.dataset("prices", "Items", account.schema("prices-items", goods))
        rows = "".join(f"i{n},{self.price(n)},,n{n},{self.created(n)}\n" for n in range(ITEMS))
        header = "ITEM_ID,PRICE,RATING,NAME,CREATION_TIMESTAMP\n"
        job = account.load("prices", items, account.put("prices/items.csv", header + rows))
        assert job["status"] == "ACTIVE", job

    @staticmethod
    def price(item: int) -> float:
        return float(item * 7 % ITEMS)

    @staticmethod
    def created(item: int) -> int:
        return 1_600_000_000 + item * 13 % ITEMS * 86_400

    def version(self, name: str, recipe: str = RECIPE, **config: Any) -> dict[str, Any]:
        """Return a version of a new solution of this configuration once its training has ended."""
        solution = self.account.solution(name, self.group, recipe, solutionConfig=config)
        return self.account.train(solution)

    def lists(self, name: str, version: Mapping[str, Any], **config: Any) -> list[list[int]]:
        """Return the ten items that each of twenty users gets by batch inference."""
        users = "".join(f'{{"userId": "u{user}"}}\n' for user in range(20))
        source = self.account.put("prices/in.json", users)
        more = {"batchInferenceJobConfig": config} if config else {}
        arn = version["solutionVersionArn"]
        target = f"s3://data/prices/{name}/"
        job = self.account.infer(name, arn, source, target, numResults=10, **more)
        assert job["status"] == "ACTIVE", job
        return [
            [int(item[1:]) for item in answer["output"]["recommendedItems"]]
            for answer in self.account.read_lines(f"prices/{name}/in.json.out")
        ]


@pytest.fixture(scope="module")
def shop(account: Account) -> Shop:
    return Shop(account)


@pytest.fixture(scope="module")
def plain(shop: Shop) -> dict[str, Any]:
    """Return a version that ranks by relevance alone."""
    return shop.version("plain")


def test_an_objective_raises_its_column_the_more_the_more_sensitive(
    shop: Shop, plain: dict[str, Any]
) -> None:
    means = []
    for sensitivity in ("OFF", "LOW", "MEDIUM", "HIGH"):
        version = shop.version(
            f"revenue-{sensitivity}",
            optimizationObjective={"itemAttribute": "PRICE", "objectiveSensitivity": sensitivity},
        )
        assert version["status"] == "ACTIVE", version
        lists = shop.lists(f"revenue-{sensitivity}", version)
        means.append(np.mean([[shop.price(item) for item in items] for items in lists]))
        arn = version["solutionVersionArn"]
        metrics = shop.account.personalize.get_solution_metrics(solutionVersionArn=arn)["metrics"]
        assert 0 < metrics["average_rewards_at_k"] <= 1
        if sensitivity == "OFF":
            assert lists == shop.lists("plain", plain)
    assert means == sorted(means)
    assert means[-1] > means[0] + 5


@pytest.mark.parametrize(
    ("objective", "recipe", "fault"),
    [
        ({"objectiveSensitivity": "LOW"}, RECIPE, "needs an itemAttribute"),
        (
            {"itemAttribute": "PRICE"},
            "aws-sims",
            "aws-sims is of type RELATED_ITEMS; an objective needs USER_PERSONALIZATION or "
            "PERSONALIZED_RANKING",
        ),
        (
            {"itemAttribute": "COST"},
            RECIPE,
            "COST is no column of Items; it has ITEM_ID, PRICE, RATING, NAME, CREATION_TIMESTAMP",
        ),
        ({"itemAttribute": "NAME"}, RECIPE, "NAME is of type string; it must be a number"),
        ({"itemAttribute": "RATING"}, RECIPE, "RATING may be null; an objective must never be"),
    ],
)
def test_an_objective_is_a_number_that_is_never_null(
    shop: Shop, objective: dict[str, str], recipe: str, fault: str
) -> None:
    name = f"no-{objective.get('itemAttribute', 'attribute')}"
    code, message = refusal(shop.version, name=name, recipe=recipe, optimizationObjective=objective)
    assert (code, message.endswith(fault)) == ("InvalidInputException", True), message


def weighed(**weights: float) -> dict[str, Any]:
    return {
        "eventParametersList": [
            {"eventType": name, "weight": weight} for name, weight in weights.items()
        ]
    }


def test_events_of_a_type_count_by_their_weight(shop: Shop) -> None:
    """The ratio alone counts; what is bought lies in the upper half of the items."""
    bought = {}
    lists = {}
    for name, view, buy in (("views", 1.0, 0.1), ("buys", 0.1, 1.0), ("half", 0.05, 0.5)):
        version = shop.version(name, eventsConfig=weighed(view=view, buy=buy))
        assert version["status"] == "ACTIVE", version
        lists[name] = shop.lists(name, version)
        bought[name] = np.mean([[item >= ITEMS // 2 for item in items] for items in lists[name]])
    assert bought["buys"] > bought["views"] + 0.2
    assert lists["buys"] == lists["half"]


def test_events_of_other_types_and_of_too_low_a_value_do_not_count(shop: Shop) -> None:
    config = {"eventParametersList": [{"eventType": "view", "eventValueThreshold": 0.5}]}
    failed = shop.version("nothing", eventsConfig=config)
    assert failed["failureReason"] == "Dataset has fewer than 1000 interactions"
    weightless = shop.version("weightless", eventsConfig=weighed(view=0.0, share=1.0))
    assert weightless["failureReason"] == (
        "No interaction has an event type whose weight is above 0."
    )
    only = shop.version("only", eventsConfig=weighed(view=1.0))
    assert not any(item >= ITEMS // 2 for items in shop.lists("only", only) for item in items[:5])


@pytest.mark.parametrize(
    ("recipe", "parameters", "more", "fault"),
    [
        ("aws-sims", [{"eventType": "view"}], {}, "aws-sims weighs no events"),
        (RECIPE, [{"weight": 1.0}], {}, "each of eventParametersList needs an eventType"),
        (RECIPE, [{"eventType": "view"}] * 2, {}, "view stands there twice"),
        (RECIPE, [{"eventType": "view", "weight": 0.0}], {}, "one weight must be above 0"),
        (RECIPE, [{"eventType": "view"}], {"eventType": "buy"}, "leave eventType out"),
    ],
)
def test_weights_are_refused_by_what_is_wrong(
    shop: Shop, recipe: str, parameters: list[Any], more: dict[str, str], fault: str
) -> None:
    code, message = refusal(
        shop.account.solution,
        name="weights",
        group=shop.group,
        recipe=recipe,
        solutionConfig={"eventsConfig": {"eventParametersList": parameters}},
        **more,
    )
    assert (code, fault in message) == ("InvalidInputException", True), message


def test_a_solution_is_updated_to_other_weights(shop: Shop) -> None:
    call = shop.account.personalize
    solution = shop.account.solution("reweighed", shop.group, RECIPE)
    call.update_solution(
        solutionArn=solution, solutionUpdateConfig={"eventsConfig": weighed(buy=1.0)}
    )
    shop.account.settled("Solution", solution, "latestSolutionUpdate")
    config = call.describe_solution(solutionArn=solution)["solution"]["solutionConfig"]
    assert config["eventsConfig"] == weighed(buy=1.0)
    code, message = refusal(
        call.update_solution,
        solutionArn=solution,
        solutionUpdateConfig={"eventsConfig": weighed(buy=0.0)},
    )
    assert (code, "above 0" in message) == ("InvalidInputException", True)


def test_a_campaign_can_prefer_popular_and_fresh_items(shop: Shop, plain: dict[str, Any]) -> None:
    """By a batch job and by a campaign alike; without it lists are those of relevance."""
    arn = plain["solutionVersionArn"]
    fresh = {"rankingInfluence": {"FRESHNESS": 1.0}}
    popular = {"rankingInfluence": {"POPULARITY": 1.0, "FRESHNESS": 0.0}}
    lists = {
        "plain": shop.lists("uninfluenced", plain),
        "fresh": shop.lists("fresh", plain, **fresh),
        "popular": shop.lists("popular", plain, **popular),
    }
    events = [line.split(",")[1] for line in lines().splitlines()[1:]]
    counts = [events.count(f"i{item}") for item in range(ITEMS)]
    newest = {
        name: np.mean([[shop.created(i) for i in items] for items in lists[name]]) for name in lists
    }
    known = {name: np.mean([[counts[i] for i in items] for items in lists[name]]) for name in lists}
    assert newest["fresh"] > newest["plain"] + 86_400
    assert known["popular"] > known["plain"]

    campaign = shop.account.created(
        "Campaign", name="fresh", solutionVersionArn=arn, campaignConfig=fresh
    )
    answer = shop.account.runtime.get_recommendations(
        campaignArn=campaign, userId="u3", numResults=10
    )
    assert [int(entry["itemId"][1:]) for entry in answer["itemList"]] == lists["fresh"][3]


def test_influence_is_refused_out_of_range_and_where_there_are_no_scores(
    shop: Shop, plain: dict[str, Any]
) -> None:
    call = shop.account.personalize.create_campaign
    arn = plain["solutionVersionArn"]

    def fault(version: str, **influence: float) -> str:
        code, message = refusal(
            call,
            name="influenced",
            solutionVersionArn=version,
            campaignConfig={"rankingInfluence": influence},
        )
        assert code == "InvalidInputException"
        return message

    assert "must have value less than or equal to 1" in fault(arn, POPULARITY=1.5).lower()
    sims = shop.version("influence-sims", "aws-sims")["solutionVersionArn"]
    assert fault(sims, FRESHNESS=0.5) == (
        "campaignConfig.rankingInfluence: aws-sims is of type RELATED_ITEMS; it needs "
        "USER_PERSONALIZATION or PERSONALIZED_RANKING, or aws-semantic-similarity"
    )
