"""Single records: they come beside bulk data, survive it, and are exported and deleted with it."""

import json
from typing import Any

import pytest

from .account import HEADER, INTERACTIONS, PREFIX, ROLE, Account, avro, events, refusal

NOON = 1_700_500_000


class Shop:
    """A dataset group with all types of datasets, empty but for interactions."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name
        self.group = account.group(name)
        clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        self.interactions = self._dataset("Interactions", clicks)
        goods = (("ITEM_ID", "string"), ("GENRE", ["null", "string"]), ("PRICE", ["null", "float"]))
        self.items = self._dataset("Items", avro("Items", *goods))
        ages = avro("Users", ("USER_ID", "string"), ("NUMBER_OF_ORDERS", "int"))
        self.users = self._dataset("Users", ages)
        created = account.personalize.create_event_tracker(name=name, datasetGroupArn=self.group)
        account.settled("EventTracker", created["eventTrackerArn"])
        self.tracker, self.tracking = created["eventTrackerArn"], created["trackingId"]

    def _dataset(self, dataset_type: str, schema: str) -> str:
        arn = self.account.schema(f"{self.name}-{dataset_type}", schema)
        return self.account.dataset(self.name, dataset_type, arn)

    def load(self, job: str, dataset: str, text: str, **more: Any) -> dict[str, Any]:
        """Import a text."""
        location = self.account.put(f"{self.name}/{job}.csv", text)
        return self.account.load(f"{self.name}-{job}", dataset, location, **more)

    def meet(self, user: str | None, *items: str, session: str = "s", **more: Any) -> None:
        """Record views."""
        identified = {"userId": user} if user else {}
        self.account.events.put_events(
            trackingId=self.tracking,
            sessionId=session,
            eventList=[
                {"eventType": "view", "itemId": item, "sentAt": NOON + number, **more}
                for number, item in enumerate(items)
            ],
            **identified,
        )

    def exported(self, job: str, dataset: str, mode: str) -> list[str]:
        """Return the lines of an export."""
        arn = self.account.personalize.create_dataset_export_job(
            jobName=f"{self.name}-{job}",
            datasetArn=dataset,
            ingestionMode=mode,
            roleArn=ROLE,
            jobOutput={"s3DataDestination": {"path": f"s3://data/{self.name}-out/"}},
        )["datasetExportJobArn"]
        assert self.account.settled("DatasetExportJob", arn)["status"] == "ACTIVE"
        return self.account.get(f"{self.name}-out/{self.name}-{job}.csv").splitlines()


def test_an_export_separates_bulk_and_single_records_and_can_be_imported_again(
    account: Account,
) -> None:
    shop = Shop(account, "exported")
    line = r'a,"war|love, \"true\"",1.5'
    rows = f"ITEM_ID,GENRE,PRICE\n{line}\nb,,\n{line}\n"
    assert shop.load("items", shop.items, rows)["status"] == "ACTIVE"
    put = account.events.put_items
    put(datasetArn=shop.items, items=[{"itemId": "b", "properties": '{"genre": "new"}'}])
    put(datasetArn=shop.items, items=[{"itemId": "c", "properties": '{"price": 7}'}])

    bulk = shop.exported("bulk", shop.items, "BULK")
    single = shop.exported("put", shop.items, "PUT")
    everything = shop.exported("all", shop.items, "ALL")

    header = "ITEM_ID,GENRE,PRICE"
    assert bulk == [header, line, "b,,"]
    assert single == [header, "b,new,", "c,,7.0"]
    assert everything == [header, line, "b,new,", "c,,7.0"]

    again = shop.load("again", shop.items, "\n".join(everything) + "\n")
    assert again["status"] == "ACTIVE"
    assert shop.exported("bulk-2", shop.items, "BULK") == everything
    assert account.keys("exported-out/") == [
        f"exported-out/exported-{job}.csv" for job in ("all", "bulk-2", "bulk", "put")
    ]


def test_a_full_import_keeps_single_records_and_replaces_the_rest(account: Account) -> None:
    shop = Shop(account, "kept")
    shop.load("first", shop.interactions, events(1000))
    shop.meet("streamed", "i1", "i2")
    account.events.put_users(
        datasetArn=shop.users,
        users=[{"userId": "u", "properties": json.dumps({"numberOfOrders": "12"})}],
    )
    shop.load("users", shop.users, "USER_ID,NUMBER_OF_ORDERS\nu,1\nv,2\n")
    assert shop.load("second", shop.interactions, events(1000, users=50))["status"] == "ACTIVE"

    everything = shop.exported("all", shop.interactions, "ALL")
    # The import came after the single record, so its row is the newer one.
    assert shop.exported("users", shop.users, "ALL") == ["USER_ID,NUMBER_OF_ORDERS", "u,1", "v,2"]
    assert len(everything) == 1 + 1000 + 2
    assert [line for line in everything if line.startswith("streamed,")] == [
        f"streamed,i1,view,{NOON}",
        f"streamed,i2,view,{NOON + 1}",
    ]
    # They take part in the next training: its users know them.
    solution = account.solution("kept", shop.group, "aws-user-personalization")
    version = account.train(solution)["solutionVersionArn"]
    source = account.put("kept/in.json", '{"userId": "streamed"}\n{"userId": "nobody"}\n')
    account.infer("kept", version, source, "s3://data/kept-batch/", numResults=3)
    known, unknown = map(json.loads, account.get("kept-batch/in.json.out").splitlines())
    assert known["output"]["recommendedItems"] != unknown["output"]["recommendedItems"]


def test_an_anonymous_session_becomes_its_users(account: Account) -> None:
    shop = Shop(account, "anonymous")
    shop.meet(None, "i1", "i2", session="visit")
    shop.meet(None, "i9", session="other")
    assert shop.exported("before", shop.interactions, "PUT") == [HEADER.strip()]
    shop.meet("known", "i3", session="visit")
    shop.meet(None, "i4", session="visit")
    assert shop.exported("after", shop.interactions, "PUT")[1:] == [
        f"known,i1,view,{NOON}",
        f"known,i2,view,{NOON + 1}",
        f"known,i3,view,{NOON}",
        f"known,i4,view,{NOON}",
    ]


def test_deleted_users_are_in_no_dataset_any_more(account: Account) -> None:
    shop = Shop(account, "forgetful")
    shop.load("events", shop.interactions, events(1200))
    shop.load("users", shop.users, "USER_ID,NUMBER_OF_ORDERS\nu1,1\nu2,2\n")
    shop.meet("u1", "i1")
    location = account.put("forgetful/users.csv", "USER_ID\nu1\nlost\n")
    create = account.personalize.create_data_deletion_job
    arn = create(
        jobName="forget",
        datasetGroupArn=shop.group,
        dataSource={"dataLocation": location},
        roleArn=ROLE,
    )["dataDeletionJobArn"]
    job = account.settled("DataDeletionJob", arn)
    assert (job["status"], job["numDeleted"]) == ("COMPLETED", 20 + 1 + 1)
    assert arn == f"{PREFIX}:data-deletion-job/forget"
    assert shop.exported("users", shop.users, "ALL")[1:] == ["u2,2"]
    left = shop.exported("events", shop.interactions, "ALL")
    assert [line for line in left if line.startswith("u1,")] == []
    assert len(left) == 1 + 1180

    wrong = account.put("forgetful/wrong.csv", "USER_ID,AGE\nu1,1\n")
    arn = create(
        jobName="forget-2",
        datasetGroupArn=shop.group,
        dataSource={"dataLocation": wrong},
        roleArn=ROLE,
    )["dataDeletionJobArn"]
    job = account.settled("DataDeletionJob", arn)
    assert (job["status"], job["failureReason"]) == (
        "FAILED",
        "wrong.csv, line 1: must be the one column USER_ID",
    )


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"itemId": "i", "sentAt": 130_000_000_000}, "it looks like milliseconds, divide by 1,000"),
        ({}, "entry 1: itemId is missing; name the item that the user met"),
        ({"itemId": "i", "properties": "{"}, "entry 1: properties is not JSON: "),
        (
            {"itemId": "i", "properties": '{"evntType": "x"}'},
            "entry 1: the schema has no field 'evntType'; did you mean 'eventType'?",
        ),
        ({"itemId": "i", "properties": '{"eventType": ["x"]}'}, "entry 1: eventType must be one"),
    ],
)
def test_an_event_is_refused_with_the_reason(
    account: Account, streams: Shop, event: dict[str, Any], message: str
) -> None:
    code, text = refusal(
        account.events.put_events,
        trackingId=streams.tracking,
        sessionId="s",
        userId="u",
        eventList=[{"eventType": "view", "sentAt": NOON, **event}],
    )
    assert (code, message in text) == ("InvalidInputException", True), text


@pytest.fixture(scope="module")
def streams(account: Account) -> Shop:
    return Shop(account, "streams")


def test_trackers_are_one_a_group_and_end_with_it(account: Account, streams: Shop) -> None:
    create = account.personalize.create_event_tracker
    code, message = refusal(create, name="second", datasetGroupArn=streams.group)
    assert (code, streams.tracker in message) == ("ResourceAlreadyExistsException", True)
    delete = account.personalize.delete_dataset_group
    assert refusal(delete, datasetGroupArn=streams.group)[0] == "ResourceInUseException"
    account.delete("EventTracker", streams.tracker)
    assert refusal(
        account.events.put_events,
        trackingId=streams.tracking,
        sessionId="s",
        eventList=[{"eventType": "view", "itemId": "i", "sentAt": NOON}],
    ) == (
        "InvalidInputException",
        f"there is no event tracker with the trackingId {streams.tracking}",
    )


def test_actions_are_streamed_too(account: Account) -> None:
    group = account.group("deeds")
    deeds = avro("Actions", ("ACTION_ID", "string"), ("VALUE", ["null", "long"]))
    actions = account.dataset("deeds", "Actions", account.schema("deeds", deeds))
    taken = avro(
        "ActionInteractions",
        ("USER_ID", "string"),
        ("ACTION_ID", "string"),
        ("EVENT_TYPE", "string"),
        ("TIMESTAMP", "long"),
    )
    done = account.dataset("deeds", "Action_Interactions", account.schema("done", taken))
    assert done == f"{PREFIX}:dataset/deeds/ACTION_INTERACTIONS"
    account.events.put_actions(
        datasetArn=actions, actions=[{"actionId": "join", "properties": '{"value": 5}'}]
    )
    tracking = account.personalize.describe_dataset(datasetArn=done)["dataset"]["trackingId"]
    account.events.put_action_interactions(
        trackingId=tracking,
        actionInteractions=[
            {
                "actionId": "join",
                "userId": "u",
                "sessionId": "s",
                "timestamp": NOON,
                "eventType": "Taken",
            }
        ],
    )
    export = account.personalize.create_dataset_export_job
    code, message = refusal(
        export,
        jobName="deeds",
        datasetArn=actions,
        roleArn=ROLE,
        jobOutput={"s3DataDestination": {"path": "s3://data/deeds/"}},
    )
    assert (code, message) == (
        "InvalidInputException",
        f"{actions}: actions and action interactions cannot be exported",
    )
    event = {"actionId": "join", "sessionId": "s", "timestamp": NOON, "eventType": "Taken"}
    call = account.events.put_action_interactions
    code, message = refusal(call, trackingId="lost", actionInteractions=[event])
    assert (code, message) == (
        "ResourceNotFoundException",
        "No Action interactions dataset has the trackingId lost.",
    )
    account.delete("Dataset", done)
    account.delete("Dataset", actions)
    account.delete("DatasetGroup", group)
