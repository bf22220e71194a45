"""Campaigns and recommenders: recommendations in real time, with filters, promotions and events."""

from typing import Any

import pytest

from .account import INTERACTIONS, PREFIX, Account, avro, events, refusal

NOON = 1_700_500_000
VIEWS = ("USER_ID", "string"), ("ITEM_ID", "string"), ("EVENT_TYPE", "string")


class Shop:
    """A dataset group with events and items, and the campaigns of its solutions."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.group = account.group("site")
        clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        interactions = account.dataset("site", "Interactions", account.schema("site", clicks))
        goods = avro(
            "Items",
            ("ITEM_ID", "string"),
            ("GENRE", ["null", "string"]),
            ("PRICE", ["null", "float"]),
        ).replace('"GENRE"', '"GENRE", "categorical": true')
        items = account.dataset("site", "Items", account.schema("goods", goods))
        account.load("site-events", interactions, account.put("site/events.csv", events()))
        rows = "".join(f"i{n},{'war' if n < 10 else 'love'},{n}\n" for n in range(40))
        account.load("goods", items, account.put("site/items.csv", "ITEM_ID,GENRE,PRICE\n" + rows))
        answer = account.personalize.create_event_tracker(name="site", datasetGroupArn=self.group)
        account.settled("EventTracker", answer["eventTrackerArn"])
        self.tracking = answer["trackingId"]
        self.versions: dict[str, str] = {}
        self.campaigns: dict[str, str] = {}

    def train(self, recipe: str) -> str:
        """Return a version of a recipe."""
        if recipe not in self.versions:
            solution = self.account.solution(f"site-{recipe[4:]}", self.group, recipe)
            self.versions[recipe] = self.account.train(solution)["solutionVersionArn"]
        return self.versions[recipe]

    def campaign(self, recipe: str, **config: Any) -> str:
        """Return a campaign of a recipe."""
        if recipe not in self.campaigns:
            self.campaigns[recipe] = self.account.created(
                "Campaign",
                name=f"site-{recipe[4:]}",
                solutionVersionArn=self.train(recipe),
                campaignConfig=config,
            )
        return self.campaigns[recipe]

    def filter(self, name: str, expression: str) -> str:
        """Return a filter."""
        return self.account.created(
            "Filter", name=name, datasetGroupArn=self.group, filterExpression=expression
        )

    def items(self, recipe: str, **request: Any) -> list[str]:
        """Return the recommended items."""
        answer = self.account.runtime.get_recommendations(
            campaignArn=self.campaign(recipe), **request
        )
        return [entry["itemId"] for entry in answer["itemList"]]

    def meet(self, user: str, *items: str, event_type: str = "view") -> None:
        """Record events."""
        for number, item in enumerate(items):
            self.account.events.put_events(
                trackingId=self.tracking,
                sessionId=user,
                userId=user,
                eventList=[{"eventType": event_type, "itemId": item, "sentAt": NOON + number}],
            )


PERSONAL = "aws-user-personalization"


@pytest.fixture(scope="module")
def shop(account: Account) -> Shop:
    return Shop(account)


def parities(items: list[str]) -> set[int]:
    """Return the parities of items: users like the items of their own."""
    return {int(item[1:]) % 2 for item in items}


def test_streaming_events_change_the_next_recommendations_of_their_user_alone(
    shop: Shop,
) -> None:
    """Users like the items of their own parity; new users meet the even ones, or the odd."""
    before = shop.items(PERSONAL, userId="newcomer", numResults=5)
    neighbour = shop.items(PERSONAL, userId="u1", numResults=5)
    shop.meet("newcomer", "i2", "i4", "i6", "i8")
    even = shop.items(PERSONAL, userId="newcomer", numResults=5)
    shop.meet("another", "i3", "i5", "i7", "i9")
    odd = shop.items(PERSONAL, userId="another", numResults=5)
    assert parities(even) == {0}
    assert parities(odd) == {1}
    assert before not in (even, odd)
    assert shop.items(PERSONAL, userId="u1", numResults=5) == neighbour


def test_responses_have_ids_scores_and_as_many_items_as_requested(shop: Shop) -> None:
    get = shop.account.runtime.get_recommendations
    answer = get(campaignArn=shop.campaign(PERSONAL), userId="u2")
    scores = [entry["score"] for entry in answer["itemList"]]
    assert len(scores) == 25
    assert scores == sorted(scores, reverse=True)
    assert len(answer["recommendationId"]) <= 40
    assert answer["recommendationId"].startswith("RID-")
    popular = get(campaignArn=shop.campaign("aws-popularity-count"), userId="u2", numResults=3)
    assert [set(entry) for entry in popular["itemList"]] == [{"itemId"}] * 3


def test_a_filter_with_values_applies_to_the_recommendations(shop: Shop) -> None:
    wars = shop.filter("genre", "INCLUDE ItemID WHERE Items.GENRE IN ($GENRE)")
    items = shop.items(
        PERSONAL, userId="u1", filterArn=wars, filterValues={"GENRE": '"war"'}, numResults=40
    )
    assert sorted(items) == [f"i{n}" for n in range(10)]
    # EXCLUDE does without its values and then has no effect; INCLUDE cannot.
    call = shop.account.runtime.get_recommendations
    campaign = shop.campaign(PERSONAL)
    assert refusal(call, campaignArn=campaign, userId="u1", filterArn=wars) == (
        "InvalidInputException",
        "filterValues.GENRE is missing",
    )
    others = shop.filter("not", "EXCLUDE ItemID WHERE Items.GENRE IN ($GENRE)")
    assert len(shop.items(PERSONAL, userId="u1", filterArn=others, numResults=40)) == 40
    values = {"GENRE": '"war"'}
    left = shop.items(PERSONAL, userId="u1", filterArn=others, filterValues=values, numResults=40)
    assert len(left) == 30


def test_an_event_just_sent_is_filtered(shop: Shop) -> None:
    applied = shop.filter("applied", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")')
    first, second, *_ = shop.items(PERSONAL, userId="u5", filterArn=applied)
    shop.meet("u5", first, event_type="apply")
    after = shop.items(PERSONAL, userId="u5", filterArn=applied, numResults=40)
    assert first not in after
    assert second in after


def test_promoted_items_take_their_share_of_the_ranks(shop: Shop) -> None:
    cheap = shop.filter("cheap", "INCLUDE ItemID WHERE Items.PRICE <= 5")
    free = shop.items(PERSONAL, userId="u1", numResults=10)
    request = {
        "campaignArn": shop.campaign(PERSONAL),
        "userId": "u1",
        "numResults": 10,
        "promotions": [{"name": "sale", "percentPromotedItems": 30, "filterArn": cheap}],
    }
    answer = shop.account.runtime.get_recommendations(**request)["itemList"]
    again = shop.account.runtime.get_recommendations(**request)["itemList"]
    promoted = [entry["itemId"] for entry in answer if entry.get("promotionName") == "sale"]
    others = [entry["itemId"] for entry in answer if "promotionName" not in entry]
    assert answer == again
    assert (len(promoted), len(others)) == (3, 7)
    assert {int(item[1:]) for item in promoted} <= set(range(6))
    ranked = shop.items(PERSONAL, userId="u1", filterArn=cheap, numResults=3)
    assert promoted == ranked
    assert others == [item for item in free if item not in promoted][:7]


def test_the_filter_of_a_request_is_for_all_but_the_promoted_items(shop: Shop) -> None:
    cheap = shop.filter("cheaper", "INCLUDE ItemID WHERE Items.PRICE <= 5")
    dear = shop.filter("dearer", "INCLUDE ItemID WHERE Items.PRICE > 20")
    answer = shop.account.runtime.get_recommendations(
        campaignArn=shop.campaign(PERSONAL),
        userId="u1",
        numResults=10,
        filterArn=dear,
        promotions=[{"name": "sale", "percentPromotedItems": 50, "filterArn": cheap}],
    )["itemList"]
    prices: dict[bool, list[int]] = {True: [], False: []}
    for entry in answer:
        prices["promotionName" in entry].append(int(entry["itemId"][1:]))
    assert (len(prices[True]), len(prices[False])) == (5, 5)
    assert max(prices[True]) <= 5
    assert min(prices[False]) > 20


def test_metadata_come_where_the_campaign_is_set_to_it(shop: Shop) -> None:
    campaign = shop.campaign(PERSONAL)
    get = shop.account.runtime.get_recommendations
    columns = {"ITEMS": ["genre", "PRICE"]}
    code, message = refusal(get, campaignArn=campaign, userId="u1", metadataColumns=columns)
    assert (code, "enableMetadataWithRecommendations off" in message) == (
        "InvalidInputException",
        True,
    )
    shop.account.personalize.update_campaign(
        campaignArn=campaign, campaignConfig={"enableMetadataWithRecommendations": True}
    )
    shop.account.settled("Campaign", campaign, "latestCampaignUpdate")
    answer = get(campaignArn=campaign, userId="u1", metadataColumns=columns, numResults=1)
    (item,) = answer["itemList"]
    number = int(item["itemId"][1:])
    assert item["metadata"] == {
        "genre": "war" if number < 10 else "love",
        "PRICE": f"{number}.0",
    }
    assert refusal(
        get, campaignArn=campaign, userId="u", metadataColumns=columns, numResults=51
    ) == (
        "InvalidInputException",
        "numResults must be in [1, 50], not 51",
    )


def test_a_ranking_orders_the_users_own_list(shop: Shop) -> None:
    recipe = "aws-personalized-ranking"
    rank = shop.account.runtime.get_personalized_ranking
    campaign = shop.campaign(recipe)
    # u2 likes even items and has not met these two yet.
    listed = ["i1", "lost", "i34", "i3", "i0"]
    answer = rank(campaignArn=campaign, userId="u2", inputList=listed)["personalizedRanking"]
    items = [entry["itemId"] for entry in answer]
    assert set(items[:2]) == {"i34", "i0"}
    assert set(items[2:4]) == {"i1", "i3"}
    assert items[4] == "lost"
    assert sum(entry["score"] for entry in answer) == pytest.approx(1.0, abs=1e-5)
    dear = shop.filter("dear", "INCLUDE ItemID WHERE Items.PRICE >= 3")
    filtered = rank(campaignArn=campaign, userId="u2", inputList=listed, filterArn=dear)
    assert [entry["itemId"] for entry in filtered["personalizedRanking"]] == ["i34", "i3"]
    code, message = refusal(
        shop.account.runtime.get_recommendations, campaignArn=campaign, userId="u2"
    )
    assert (code, message.endswith("call GetPersonalizedRanking")) == (
        "InvalidInputException",
        True,
    )


def test_related_items_are_liked_by_the_same_users(shop: Shop) -> None:
    recipe = "aws-sims"
    assert parities(shop.items(recipe, itemId="i7", numResults=5)) == {1}
    call = shop.account.runtime.get_recommendations
    code, message = refusal(call, campaignArn=shop.campaign(recipe), userId="u1")
    assert (code, message) == ("InvalidInputException", "itemId is missing; aws-sims needs it")


def test_a_campaign_follows_the_latest_version(shop: Shop) -> None:
    account = shop.account
    solution = account.solution("latest", shop.group, "aws-popularity-count")
    arn = f"{solution}/$LATEST"
    create = account.personalize.create_campaign
    follow = {"syncWithLatestSolutionVersion": True}
    code, message = refusal(create, name="latest", solutionVersionArn=arn, campaignConfig=follow)
    assert (code, message) == (
        "ResourceNotFoundException",
        f"{solution} has no ACTIVE version; train one first.",
    )
    first = account.train(solution)["solutionVersionArn"]
    assert refusal(create, name="latest", solutionVersionArn=arn)[0] == "InvalidInputException"
    campaign = account.created(
        "Campaign", name="latest", solutionVersionArn=arn, campaignConfig=follow
    )
    described = account.settled("Campaign", campaign)
    assert described["solutionVersionArn"] == first
    assert described["minProvisionedTPS"] == 1

    second = account.train(solution)["solutionVersionArn"]
    updated = account.settled("Campaign", campaign, "latestCampaignUpdate")
    assert updated["solutionVersionArn"] == second
    listed = account.personalize.list_campaigns(solutionArn=solution)["campaigns"]
    assert [entry["campaignArn"] for entry in listed] == [campaign]
    code, message = refusal(account.personalize.delete_solution, solutionArn=solution)
    assert (code, message) == (
        "ResourceInUseException",
        f"{solution} is used by {campaign} (ACTIVE); delete that first.",
    )
    account.delete("Campaign", campaign)
    account.delete("Solution", solution)
    lost = refusal(account.runtime.get_recommendations, campaignArn=campaign, userId="u")
    assert lost == ("ResourceNotFoundException", f"Resource Arn {campaign} does not exist.")


def test_a_recommender_serves_a_use_case_of_its_domain(account: Account) -> None:
    group = account.personalize.create_dataset_group(name="store", domain="ECOMMERCE")
    assert group["domain"] == "ECOMMERCE"
    arn = group["datasetGroupArn"]
    account.settled("DatasetGroup", arn)
    text = avro("Interactions", *VIEWS, ("TIMESTAMP", "long"))
    custom = account.schema("store-custom", text)
    code, message = refusal(
        account.personalize.create_dataset,
        name="x",
        datasetType="Interactions",
        schemaArn=custom,
        datasetGroupArn=arn,
    )
    assert (code, message.partition("; ")[0]) == (
        "InvalidInputException",
        f"{arn} is of domain ECOMMERCE and {custom} is custom",
    )
    schema = account.personalize.create_schema(name="store", schema=text, domain="ECOMMERCE")
    dataset = account.dataset("store", "Interactions", schema["schemaArn"])
    bought = events().replace(",view,", ",View,").replace(",apply,", ",Purchase,")
    account.load("store", dataset, account.put("store.csv", bought))
    create = account.personalize.create_recommender
    film = "arn:aws:personalize:::recipe/aws-vod-most-popular"
    assert refusal(create, name="f", datasetGroupArn=arn, recipeArn=film)[0] == (
        "InvalidInputException"
    )
    recipe = "arn:aws:personalize:::recipe/aws-ecomm-recommended-for-you"
    recommender = account.created("Recommender", name="r", datasetGroupArn=arn, recipeArn=recipe)
    described = account.settled("Recommender", recommender)
    assert recommender == f"{PREFIX}:recommender/r"
    assert described["modelMetrics"]["coverage"] > 0
    get = account.runtime.get_recommendations
    answer = get(recommenderArn=recommender, userId="u1", numResults=40)
    items = {entry["itemId"] for entry in answer["itemList"]}
    purchased = {
        line.split(",")[1]
        for line in bought.splitlines()
        if line.startswith("u1,") and ",Purchase," in line
    }
    assert items.isdisjoint(purchased)

    account.personalize.stop_recommender(recommenderArn=recommender)
    for _ in range(1000):
        status = account.personalize.describe_recommender(recommenderArn=recommender)
        if status["recommender"]["status"] == "INACTIVE":
            break
    code, message = refusal(get, recommenderArn=recommender, userId="u1")
    assert (code, "is INACTIVE" in message) == ("InvalidInputException", True)
    stop = account.personalize.stop_recommender
    assert refusal(stop, recommenderArn=recommender)[0] == "ResourceInUseException"
    account.personalize.start_recommender(recommenderArn=recommender)
    assert account.settled("Recommender", recommender)["status"] == "ACTIVE"
    account.delete("Recommender", recommender)
    account.delete("Dataset", dataset)
    account.delete("DatasetGroup", arn)


def test_actions_are_recommended_and_one_taken_just_now_is_not_repeated(account: Account) -> None:
    """Even users join, odd ones do not; a user who joined gets no such offer for 30 days."""
    group = account.group("club")
    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    interactions = account.dataset("club", "Interactions", account.schema("club", clicks))
    account.load("club", interactions, account.put("club/events.csv", events()))
    deeds = avro("Actions", ("ACTION_ID", "string"), ("REPEAT_FREQUENCY", ["null", "long"]))
    actions = account.dataset("club", "Actions", account.schema("club-deeds", deeds))
    listed = "ACTION_ID,REPEAT_FREQUENCY\njoin,30\nsubscribe,\n"
    account.load("club-deeds", actions, account.put("club/actions.csv", listed))
    taken = avro(
        "ActionInteractions",
        ("USER_ID", "string"),
        ("ACTION_ID", "string"),
        ("EVENT_TYPE", "string"),
        ("TIMESTAMP", "long"),
    )
    done = account.dataset("club", "Action_Interactions", account.schema("club-done", taken))
    rows = "".join(
        f"m{n},{action},{'Taken' if n % 2 == parity else 'Not Taken'},{1_700_000_000 + n * 60}\n"
        for n in range(200)
        for parity, action in enumerate(("join", "subscribe"))
    )
    header = "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\n"
    account.load("club-done", done, account.put("club/done.csv", header + rows))
    solution = account.solution("club", group, "aws-next-best-action")
    version = account.train(solution)
    assert version["status"] == "ACTIVE", version
    campaign = account.created(
        "Campaign", name="club", solutionVersionArn=version["solutionVersionArn"]
    )
    get = account.runtime.get_action_recommendations
    before = get(campaignArn=campaign, userId="u2")
    assert {entry["actionId"] for entry in before["actionList"]} == {"join", "subscribe"}
    assert all(0 <= entry["score"] <= 1 for entry in before["actionList"])

    def filtered(user: str, expression: str, **values: str) -> list[str]:
        arn = account.created(
            "Filter", name="deeds", datasetGroupArn=group, filterExpression=expression
        )
        answer = get(campaignArn=campaign, userId=user, filterArn=arn, filterValues=values)
        account.delete("Filter", arn)
        return [entry["actionId"] for entry in answer["actionList"]]

    often = "INCLUDE ActionID WHERE Actions.REPEAT_FREQUENCY >= $DAYS"
    assert [filtered("u2", often, DAYS=days) for days in ("7", "31")] == [["join"], []]
    # A user with the offer to join gets no second one so soon; of m1 and m2 one has subscribed.
    met = "EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN"
    for event_type, left in (("taken", ["m2"]), ("not taken", ["m1"]), ("*", [])):
        offered = [user for user in ("m1", "m2") if filtered(user, f'{met} ("{event_type}")')]
        assert offered == left

    tracking = account.personalize.describe_dataset(datasetArn=done)["dataset"]["trackingId"]
    account.events.put_action_interactions(
        trackingId=tracking,
        actionInteractions=[
            {
                "actionId": "join",
                "userId": "u2",
                "sessionId": "s",
                "timestamp": 1_700_012_000,
                "eventType": "Taken",
            }
        ],
    )
    after = get(campaignArn=campaign, userId="u2")["actionList"]
    assert [entry["actionId"] for entry in after] == ["subscribe"]
    code, message = refusal(account.runtime.get_recommendations, campaignArn=campaign, userId="u")
    assert (code, message.endswith("call GetActionRecommendations")) == (
        "InvalidInputException",
        True,
    )
