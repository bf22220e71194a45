"""Every operation of the three models: served, and refused by legal errors alone."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from .world import MODELS, RESOURCE_TYPES, World, model_of, populated, requests

ENDING = {
    "StopRecommender": "Recommender",
    "StartRecommender": "Recommender",
    "DeleteRecommender": "Recommender",
    "StopSolutionVersionCreation": "SolutionVersion",
    "DeleteCampaign": "Campaign",
    "DeleteSolution": "Solution",
    "DeleteFilter": "Filter",
    "DeleteEventTracker": "EventTracker",
    "DeleteMetricAttribution": "MetricAttribution",
    "DeleteDataset": "Dataset",
    "DeleteDatasetGroup": "DatasetGroup",
    "DeleteSchema": "Schema",
    "GetActionRecommendations": "Campaign",
}
"""Operations that end something, or need what the world does not have; see the last test."""

OPERATIONS = [name for model in MODELS.values() for name in model.operation_names]
COMMON = {"InvalidInputException", "SerializationException"}
"""The errors for an invalid request, whether an operation's model names them or not."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with populated(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def orderly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Another world, in which nothing but valid requests come."""
    with populated(tmp_path_factory.mktemp("orderly")) as made:
        yield made


@pytest.fixture(scope="module")
def valid(world: World) -> dict[str, dict[str, Any]]:
    return dict(requests(world))


def test_every_operation_has_a_request_in_these_tests(valid: dict[str, Any]) -> None:
    """Botocore's next version may bring another operation: then this fails."""
    assert sorted({*valid, *ENDING}) == sorted(OPERATIONS)
    assert len(OPERATIONS) == 71 + 3 + 5


class Fitting:
    """JSON values that fit a shape, or nearly.

    Args:
        arns: ARNs by type or purpose; some are of no resource.
        draw: Hypothesis's.
    """

    def __init__(self, arns: dict[str, str], draw: st.DrawFn) -> None:
        self._arns = arns
        self._draw = draw

    def near(self, shape: Shape, base: Any, name: str = "") -> Any:
        """Return a valid value with a few changes."""
        chance = self._draw(st.integers(0, 19))
        if chance == 0 and name:
            return self.any(shape, name)
        if isinstance(shape, StructureShape) and isinstance(base, dict):
            changed = {}
            for member, of in shape.members.items():
                if member in base:
                    changed[member] = self.near(of, base[member], member)
                elif self._draw(st.integers(0, 5)) == 0:
                    changed[member] = self.any(of, member)
            return changed
        if isinstance(shape, ListShape) and isinstance(base, list):
            return [self.near(shape.member, element, name) for element in base]
        if name in {"name", "jobName"}:
            return self._draw(st.text("abc-", min_size=1, max_size=6))
        return base

    def any(self, shape: Shape, name: str = "") -> Any:
        """Any value of the shape, or one of another."""
        if self._draw(st.integers(0, 24)) == 0:
            return self._draw(st.sampled_from(ODD))
        if isinstance(shape, StructureShape):
            return {
                member: self.any(of, member)
                for member, of in shape.members.items()
                if member in shape.required_members or self._draw(st.booleans())
            }
        if isinstance(shape, ListShape):
            return [self.any(shape.member, name) for _ in range(self._draw(st.integers(0, 3)))]
        if isinstance(shape, MapShape):
            keys = self._draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
            return {key: self.any(shape.value, key) for key in keys}
        return self._draw(self._plain(shape, name))

    def _plain(self, shape: Shape, name: str) -> st.SearchStrategy[Any]:
        type_name = shape.type_name
        if type_name == "string":
            if enum := shape.metadata.get("enum"):
                return st.sampled_from(enum)
            if "arn:" in shape.metadata.get("pattern", ""):
                own = [self._arns[arn] for arn in self._arns if _arn(arn) == name]
                return st.sampled_from(own * 9 + [*self._arns.values()])
            return st.sampled_from(TEXTS) | st.text(max_size=8)
        if type_name == "boolean":
            return st.booleans()
        if type_name in {"integer", "long"}:
            return st.integers(-1, 501) | st.sampled_from([2**31, 2**70])
        return st.floats(allow_nan=False, allow_infinity=False) | st.just(1_700_000_000)


ODD = (None, "", 0, -1, [], {}, "x" * 300, 1e300, True, "\x00", "日本")
KEYS = ("ITEMS", "GENRE", "explorationWeight", "a b", "POPULARITY")
TEXTS = (
    "n",
    "new-name",
    "INTERACTIONS",
    "genre",
    "s3://data/in.json",
    "s3://data/",
    "http://data/x",
    "{}",
    '{"price": [1]}',
    '{"genre": null}',
    '{"itemId": "i2"}',
    "[",
    "SUM(Items.PRICE)",
    "rate(7 days)",
    "rate(99 days)",
    "u1",
    "i1",
    "0.5",
    "INCLUDE ItemID WHERE Items.GENRE IN ($G)",
)


def _arn(resource_type: str) -> str:
    return f"{resource_type[0].lower()}{resource_type[1:]}Arn"


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"CreateSolutionVersion"}))
def test_any_request_is_served_or_refused_by_a_legal_error(
    world: World, valid: dict[str, Any], operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Never a failure of the service's own, and what is refused leaves nothing behind."""
    model = model_of(operation)
    lost = {
        f"lost {resource_type}": arn.replace("/", "/lost-", 1)
        for resource_type, arn in world.arns.items()
    }
    # Nothing of the world may go while others are tried.
    arns = lost if operation.startswith(("Delete", "Stop")) else {**world.arns, **lost}
    legal = {error.name for error in model.error_shapes} | COMMON
    shape = model.input_shape
    assert shape is not None
    caplog.set_level(logging.CRITICAL)

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.data())
    def tried(data: st.DataObject) -> None:
        fitting = Fitting(arns, data.draw)
        is_near = operation in valid and data.draw(st.integers(0, 3))
        request = fitting.near(shape, valid[operation]) if is_near else fitting.any(shape)
        is_create = operation.startswith("Create")
        before = world.lists() if is_create else None
        status, answer = world.send(operation, json.dumps(request).encode())
        if status != 200:
            assert answer["__type"] in legal, (status, answer, request)
            assert status == 400 or answer["__type"] not in COMMON
            if is_create:
                assert world.lists() == before, (answer, request)

    tried()


def test_no_job_ended_by_a_fault_of_the_service(world: World) -> None:
    """The jobs of all those requests: one that failed has a reason of Personalize's."""
    for resource_type in RESOURCE_TYPES:
        for arn in world.lists()[resource_type]:
            shown = world(f"Describe{resource_type}", **{_arn(resource_type): arn})
            reason = str(next(iter(shown.values())).get("failureReason", ""))
            assert not re.match(r"\w+(Error|Exception): ", reason), (arn, reason)


def test_an_invalid_request_is_refused(world: World) -> None:
    for operation in ("CreateSchema", "GetRecommendations", "PutEvents"):
        for body in (b"{", b"[]", b'"x"', b"\xff"):
            status, answer = world.send(operation, body)
            assert (status, answer["__type"]) == (400, "SerializationException")


def test_a_target_has_precedence_over_the_path(world: World) -> None:
    """All three APIs are signed as the same service."""
    headers = {"X-Amz-Target": "AmazonPersonalize.ListSchemas"}
    response = Client(world.service).post("/events", data=b"{}", headers=headers)
    assert (response.status_code, "schemas" in json.loads(response.data)) == (200, True)
    status, answered = world.send("PutEvents", b"{}")
    assert (status, answered["__type"]) == (400, "InvalidInputException")


def test_every_operation_serves_a_valid_request(orderly: World) -> None:
    """At the end everything is deleted, children first."""
    world, valid = orderly, requests(orderly)
    for operation, request in valid.items():
        world(operation, **request)
    made = [name for name in valid if name.startswith("Create")]
    assert len(made) == 15

    (recommender,) = [
        arn for arn in world.lists()["Recommender"] if arn == world.arns["Recommender"]
    ]
    for resource_type in RESOURCE_TYPES:
        if resource_type not in {"Schema", "Solution"}:
            for arn in world.lists()[resource_type]:
                world.settled(resource_type, arn)
    world("StopRecommender", recommenderArn=recommender)
    while "INACTIVE" not in str(world("DescribeRecommender", recommenderArn=recommender)):
        pass
    world("StartRecommender", recommenderArn=recommender)
    world.settled("Recommender", recommender)
    status, answer = world.send(
        "StopSolutionVersionCreation",
        json.dumps({"solutionVersionArn": world.arns["SolutionVersion"]}).encode(),
    )
    assert (status, answer["__type"]) == (400, "ResourceInUseException")
    status, answer = world.send(
        "GetActionRecommendations",
        json.dumps({"campaignArn": world.arns["personal campaign"], "userId": "u"}).encode(),
    )
    assert (status, answer["message"].endswith("actions need PERSONALIZED_ACTIONS")) == (400, True)
    for resource_type in (
        "Recommender",
        "Campaign",
        "Solution",
        "Filter",
        "EventTracker",
        "MetricAttribution",
        "Dataset",
        "DatasetGroup",
        "Schema",
    ):
        member = f"{resource_type[0].lower()}{resource_type[1:]}Arn"
        for arn in world.lists()[resource_type]:
            world(f"Delete{resource_type}", **{member: arn})
        while world.lists()[resource_type]:
            pass
    left = {resource_type: arns for resource_type, arns in world.lists().items() if arns}
    assert set(left) == {"BatchInferenceJob", "BatchSegmentJob", "DataDeletionJob"}
