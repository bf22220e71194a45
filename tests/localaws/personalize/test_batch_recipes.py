"""Batch jobs of every type of recipe: their lines of input and output."""

import json
from typing import Any

import pytest

from .account import INTERACTIONS, ROLE, Account, avro, events, refusal


class Films:
    """A dataset group of which versions of several recipes are trained."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.group = account.group("films")
        clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        interactions = account.dataset("films", "Interactions", account.schema("seen", clicks))
        account.load("films-events", interactions, account.put("films/events.csv", events()))
        goods = avro(
            "Items", ("ITEM_ID", "string"), ("GENRES", ["null", "string"]), ("YEAR", "int")
        ).replace('"GENRES"', '"GENRES", "categorical": true')
        items = account.dataset("films", "Items", account.schema("films", goods))
        rows = "".join(
            f"i{n},{'Comedy|Action' if n % 2 else 'Horror'},{1980 + n}\n" for n in range(40)
        )
        account.load("films", items, account.put("films/items.csv", "ITEM_ID,GENRES,YEAR\n" + rows))
        ages = avro("Users", ("USER_ID", "string"), ("AGE", "int"))
        users = account.dataset("films", "Users", account.schema("viewers", ages))
        rows = "".join(f"u{n},{n}\n" for n in range(60))
        account.load("viewers", users, account.put("films/users.csv", "USER_ID,AGE\n" + rows))

    def train(self, recipe: str) -> str:
        """Return a version of a recipe."""
        solution = self.account.solution(f"films-{recipe[4:]}", self.group, recipe)
        version = self.account.train(solution)
        assert version["status"] == "ACTIVE", version
        return str(version["solutionVersionArn"])

    def results(self, name: str, version: str, lines: list[Any], **more: Any) -> list[Any]:
        """Return the output of a batch inference job."""
        source = self._written(name, lines)
        job = self.account.infer(name, version, source, f"s3://data/films/{name}/", **more)
        assert job["status"] == "ACTIVE", job
        return self._read(name)

    def segments(self, name: str, version: str, lines: list[Any], **more: Any) -> list[Any]:
        """Return the output of a batch segment job."""
        arn = self.account.personalize.create_batch_segment_job(
            jobName=name,
            solutionVersionArn=version,
            roleArn=ROLE,
            jobInput={"s3DataSource": {"path": self._written(name, lines)}},
            jobOutput={"s3DataDestination": {"path": f"s3://data/films/{name}/"}},
            **more,
        )["batchSegmentJobArn"]
        job = self.account.settled("BatchSegmentJob", arn)
        assert job["status"] == "ACTIVE", job
        assert f"films/{name}/_CHECK" in self.account.keys(f"films/{name}/")
        return self._read(name)

    def _written(self, name: str, lines: list[Any]) -> str:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return self.account.put(f"films/in/{name}.json", text)

    def _read(self, name: str) -> list[Any]:
        return [
            json.loads(line)
            for line in self.account.get(f"films/{name}/{name}.json.out").splitlines()
        ]


@pytest.fixture(scope="module")
def films(account: Account) -> Films:
    return Films(account)


def test_rankings_come_in_batches(films: Films) -> None:
    version = films.train("aws-personalized-ranking-v2")
    lines = [
        {"userId": "u2", "itemList": ["i1", "i34"]},
        {"userId": "u2", "itemList": "i1"},
        {"userId": "u1"},
        {"userId": "u2", "itemList": ["lost", "i3", "i0"]},
    ]
    first, second, third, fourth = films.results("ranked", version, lines)
    assert first["input"] == lines[0]
    assert first["output"]["recommendedItems"] == ["i34", "i1"]
    assert sum(first["output"]["scores"]) == pytest.approx(1.0, abs=1e-5)
    assert first["error"] is None
    assert (second["output"], second["error"]) == (
        None,
        "itemList must be a list of item ids, each a string",
    )
    assert third["error"].startswith('must be of the form {"userId": "42", "itemList": ["a", "b"]}')
    assert fourth["output"]["recommendedItems"] == ["i0", "i3", "lost"]


def test_related_items_come_in_batches_without_scores(films: Films) -> None:
    version = films.train("aws-sims")
    old = films.account.created(
        "Filter",
        name="old-films",
        datasetGroupArn=films.group,
        filterExpression="INCLUDE ItemID WHERE Items.YEAR < $YEAR",
    )
    lines = [
        {"itemId": "i7", "filterValues": {"YEAR": "2000"}},
        {"itemId": "i7", "filterValues": {"YEAR": "1982"}},
        {"userId": "u1"},
    ]
    first, second, third = films.results("related", version, lines, filterArn=old, numResults=5)
    assert set(first["output"]) == {"recommendedItems"}
    numbers = [int(item[1:]) for item in first["output"]["recommendedItems"]]
    assert len(numbers) == 5
    assert all(number < 20 and number % 2 for number in numbers)
    assert 7 not in numbers
    assert set(second["output"]["recommendedItems"]) == {"i0", "i1"}
    assert third["error"] == 'must be of the form {"itemId": "42"}, the id a string'


def test_related_items_are_compared_with_the_current_item(films: Films) -> None:
    """In batches, each line with its own item, and in real time."""
    version = films.train("aws-similar-items")
    newer = films.account.created(
        "Filter",
        name="newer-of-the-genre",
        datasetGroupArn=films.group,
        filterExpression="INCLUDE ItemID WHERE Items.YEAR > CurrentItem.YEAR AND "
        "Items.GENRES IN CurrentItem.GENRES",
    )
    lines = [{"itemId": "i30"}, {"itemId": "i35"}, {"itemId": "lost"}]
    first, second, third = films.results("newer", version, lines, filterArn=newer)
    assert set(first["output"]["recommendedItems"]) == {"i32", "i34", "i36", "i38"}
    assert set(second["output"]["recommendedItems"]) == {"i37", "i39"}
    assert third["output"]["recommendedItems"] == []
    campaign = films.account.created("Campaign", name="newer", solutionVersionArn=version)
    answer = films.account.runtime.get_recommendations(
        campaignArn=campaign, itemId="i35", filterArn=newer
    )
    assert {entry["itemId"] for entry in answer["itemList"]} == {"i37", "i39"}


def test_segments_of_items_hold_the_users_who_like_them(films: Films) -> None:
    version = films.train("aws-item-affinity")
    lines = [{"itemId": "i2"}, {"itemId": "lost"}, {"itemId": 3}]
    first, second, third = films.segments("affinity", version, lines, numResults=5)
    assert first == {"input": {"itemId": "i2"}, "output": first["output"]}
    users = first["output"]["recommendedUsers"]
    assert [int(user[1:]) % 2 for user in users] == [0] * 5
    assert second == {"input": {"itemId": "lost"}, "output": {"recommendedUsers": []}}
    assert third == {
        "input": {"itemId": 3},
        "output": None,
        "error": 'must be of the form {"itemId": "105"}, the id a string',
    }

    young = films.account.created(
        "Filter",
        name="young",
        datasetGroupArn=films.group,
        filterExpression="INCLUDE UserID WHERE Users.AGE < 6",
    )
    (line,) = films.segments("young", version, [{"itemId": "i2"}], filterArn=young)
    assert set(line["output"]["recommendedUsers"]) == {f"u{n}" for n in range(6)}
    location = films.account.put("films/deleted.csv", "USER_ID\nu0\nu2\n")
    job = films.account.personalize.create_data_deletion_job(
        jobName="films",
        datasetGroupArn=films.group,
        dataSource={"dataLocation": location},
        roleArn=ROLE,
    )["dataDeletionJobArn"]
    assert films.account.settled("DataDeletionJob", job)["status"] == "COMPLETED"
    (line,) = films.segments("left", version, [{"itemId": "i2"}], filterArn=young)
    assert set(line["output"]["recommendedUsers"]) == {"u1", "u3", "u4", "u5"}

    items = films.account.created(
        "Filter",
        name="of-items",
        datasetGroupArn=films.group,
        filterExpression="INCLUDE ItemID WHERE Items.YEAR < 6",
    )
    with pytest.raises(films.account.personalize.exceptions.InvalidInputException) as caught:
        films.segments("wrong", version, [], filterArn=items)
    message = caught.value.response["Error"]["Message"]
    assert (
        message
        == f"{items} is a filter of ItemID; a recipe of type USER_SEGMENTATION needs one of UserID."
    )


def test_segments_of_attributes_keep_their_query_at_the_top(films: Films) -> None:
    version = films.train("aws-item-attribute-affinity")
    query = 'ITEMS.genres = "Comedy" AND ITEMS.genres = "Action"'
    lines = [
        {"itemAttributes": query},
        {"itemAttributes": "ITEMS.genres = Comedy"},
        {"itemAttributes": 'Interactions.EVENT_TYPE IN ("view")'},
        {"itemAttributes": "ITEMS.YEAR > 3000"},
    ]
    first, second, third, fourth = films.segments("attributes", version, lines, numResults=4)
    assert list(first) == ["itemAttributes", "output"]
    assert first["itemAttributes"] == query
    users = first["output"]["recommendedUsers"]
    assert [int(user[1:]) % 2 for user in users] == [1] * 4
    assert (second["output"], second["itemAttributes"]) == (None, "ITEMS.genres = Comedy")
    assert "strings" in second["error"] or "expected" in second["error"]
    assert third["error"].startswith("itemAttributes: compare fields of ITEMS alone")
    assert fourth["output"] == {"recommendedUsers": []}


def test_jobs_are_for_recipes_that_have_them(films: Films) -> None:
    account = films.account
    trending = films.train("aws-trending-now")
    files = {
        "roleArn": ROLE,
        "jobInput": {"s3DataSource": {"path": "s3://data/films/in/"}},
        "jobOutput": {"s3DataDestination": {"path": "s3://data/films/none/"}},
    }
    inference = account.personalize.create_batch_inference_job
    segments = account.personalize.create_batch_segment_job
    assert refusal(inference, jobName="t", solutionVersionArn=trending, **files) == (
        "InvalidInputException",
        f"{trending} is of aws-trending-now, which has no batch inference",
    )
    assert refusal(segments, jobName="t", solutionVersionArn=trending, **files) == (
        "InvalidInputException",
        f"{trending} is of aws-trending-now; segments need a recipe of the type USER_SEGMENTATION",
    )


THEMES = (
    ("robots", "A robot and its crew cross deep space.", "Robot"),
    ("dragons", "A dragon guards the castle of a young queen.", "Dragon"),
)


def test_similar_items_have_a_theme_and_are_ranked_by_it(account: Account) -> None:
    """Two genres of stories, each read by its own users; the tenth story has no genre."""
    group = account.group("stories")
    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    seen = account.dataset("stories", "Interactions", account.schema("stories-events", clicks))
    account.load("stories-events", seen, account.put("stories/events.csv", events()))
    schema = avro(
        "Items",
        ("ITEM_ID", "string"),
        ("TITLE", "string"),
        ("DESCRIPTION", ["null", "string"]),
        ("PAGES", ["null", "int"]),
    ).replace('"DESCRIPTION"', '"DESCRIPTION", "textual": true')
    items = account.dataset("stories", "Items", account.schema("stories", schema))
    rows = "".join(
        f"i{n},{THEMES[n % 2][2]} {n},{THEMES[n % 2][1] if n != 10 else 'Nothing happens.'},\n"
        for n in range(40)
    )
    header = "ITEM_ID,TITLE,DESCRIPTION,PAGES\n"
    account.load("stories", items, account.put("stories/items.csv", header + rows))
    version = account.train(account.solution("stories", group, "aws-similar-items"))
    arn = version["solutionVersionArn"]
    lines = "".join(json.dumps({"itemId": item}) + "\n" for item in ("i2", "i3"))
    source = account.put("stories/in.json", lines)
    themed: dict[str, Any] = {
        "batchInferenceJobMode": "THEME_GENERATION",
        "themeGenerationConfig": {"fieldsForThemeGeneration": {"itemName": "TITLE"}},
        "numResults": 19,
    }
    job = account.infer("stories", arn, source, "s3://data/stories/", **themed)
    assert (job["status"], job["batchInferenceJobMode"]) == ("ACTIVE", "THEME_GENERATION")
    even, odd = account.read_lines("stories/in.json.out")
    for answer, word in ((even, "robot"), (odd, "dragon")):
        output = answer["output"]
        assert word in output["theme"].lower()
        scores = output["itemsThemeRelevanceScores"]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == len(output["recommendedItems"]) == 19
    assert even["output"]["recommendedItems"][-1] == "i10"

    def fault(**change: Any) -> str:
        request = {**themed, **change}
        kept = {name: value for name, value in request.items() if value is not None}
        return refusal(
            account.infer, job="x", version=arn, source=source, target="s3://data/x/", **kept
        )[1]

    assert "need both batchInferenceJobMode" in fault(themeGenerationConfig=None)
    assert "need both batchInferenceJobMode" in fault(batchInferenceJobMode=None)
    wrong = {"fieldsForThemeGeneration": {"itemName": "NAME"}}
    assert fault(themeGenerationConfig=wrong) == (
        "itemName: NAME is no string column of Items; these are ITEM_ID, TITLE, DESCRIPTION"
    )
    many = account.put("stories/many.json", lines * 51)
    job = account.infer("many", arn, many, "s3://data/stories/", **themed)
    assert job["failureReason"] == "many.json: more than 100 lines; split the file"
