"""AWS's JSON protocol, served from botocore's service model and called like a client does."""

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from werkzeug.test import Client

from localaws.http.errors import ServiceError
from localaws.http.protocol import JsonService, Operation

ROLE = "arn:aws:iam::123456789012:role/r"


class Wire:
    """A service with one operation, and what the operation got."""

    def __init__(
        self, operation: str, answer: Any, service: str = "personalize", target: str = ""
    ) -> None:
        self.got: list[dict[str, Any]] = []
        self._target = target or f"AmazonPersonalize.{operation}"
        self._answer = answer
        self._service = JsonService(service, {operation: self._serve})

    def _serve(self, request: dict[str, Any]) -> Any:
        self.got.append(request)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def send(self, body: bytes, target: str = "") -> tuple[str, dict[str, str], Any]:
        """POST a body; status line, headers, decoded answer."""
        headers = {"X-Amz-Target": target or self._target}
        response = Client(self._service).post("/", data=body, headers=headers)
        status = HTTPStatus(response.status_code)
        return f"{status.value} {status.phrase}", dict(response.headers), json.loads(response.data)

    def call(self, **request: Any) -> tuple[str, dict[str, str], Any]:
        """Call the operation."""
        return self.send(json.dumps(request).encode())


def test_a_valid_request_arrives_without_nulls_and_is_answered() -> None:
    wire = Wire("CreateSchema", {"schemaArn": "arn:aws:personalize:r:1:schema/s"})
    status, headers, body = wire.call(name="s", schema="{}", domain=None)
    assert status == "200 OK"
    assert headers["Content-Type"] == "application/x-amz-json-1.1"
    assert body == {"schemaArn": "arn:aws:personalize:r:1:schema/s"}
    assert wire.got == [{"name": "s", "schema": "{}"}]


def test_every_fault_of_a_request_is_in_one_message() -> None:
    wire = Wire("CreateBatchInferenceJob", {})
    status, headers, body = wire.call(
        jobName="-",
        solutionVersionArn="x" * 257,
        numResults="5",
        jobInput={"s3DataSource": {}},
        roleArn=ROLE,
        batchInferenceJobMode="FAST",
        tags=[{"tagKey": "", "tagValue": True}],
        jobOtput={},
    )
    assert status == "400 Bad Request"
    assert headers["x-amzn-errortype"] == body["__type"] == "InvalidInputException"
    heading, _, faults = body["message"].partition(" detected: ")
    shown = "x" * 200
    arn = r"Member must satisfy regular expression pattern: arn:([a-z\d-]+):personalize:.*:.*:.+"
    assert heading == "10 validation errors"
    assert [
        fault.replace("failed to satisfy constraint: ", "").removeprefix("Value ")
        for fault in faults.split("; ")
        if "known are" not in fault
    ] == [
        "null at 'jobOutput' Member must not be null",
        "'-' at 'jobName' Member must satisfy regular expression pattern: "
        r"^[a-zA-Z0-9][a-zA-Z0-9\-_]*",
        f"'{shown}' at 'solutionVersionArn' Member must have length less than or equal to 256",
        f"'{shown}' at 'solutionVersionArn' {arn}",
        "'5' at 'numResults' Member must be of type integer",
        "null at 'jobInput.s3DataSource.path' Member must not be null",
        "'FAST' at 'batchInferenceJobMode' Member must satisfy enum value set: "
        "[BATCH_INFERENCE, THEME_GENERATION]",
        "at 'tags.1.member.tagKey' Member must have length greater than or equal to 1",
        "'True' at 'tags.1.member.tagValue' Member must be of type string",
        "'{}' at 'jobOtput' Member is unknown",
    ]
    assert wire.got == []


def test_numbers_have_a_range() -> None:
    wire = Wire("ListSchemas", {"schemas": []})
    _, _, body = wire.call(maxResults=101)
    assert body["message"] == (
        "1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: "
        "Member must have value less than or equal to 100"
    )
    assert wire.call(maxResults=True)[0] == "400 Bad Request"


@pytest.mark.parametrize(
    ("body", "target", "code"),
    [
        (b"{", "", "SerializationException"),
        (b"[]", "", "SerializationException"),
        (b"{}", "AmazonPersonalize.CreateNothing", "UnknownOperationException"),
        (b"{}", "AWSGlue.ListSchemas", "UnknownOperationException"),
        (b"{}", "ListSchemas", "UnknownOperationException"),
    ],
)
def test_an_invalid_request_is_refused(body: bytes, target: str, code: str) -> None:
    status, _, answer = Wire("ListSchemas", {"schemas": []}).send(body, target)
    assert (status, answer["__type"]) == ("400 Bad Request", code)


def test_an_operation_that_is_not_there_is_refused_by_name() -> None:
    _, _, answer = Wire("ListSchemas", {}).send(b"{}", "AmazonPersonalize.CreateCampaign")
    assert answer == {
        "__type": "InvalidInputException",
        "message": "CreateCampaign is not supported by the local personalize; "
        "it supports ListSchemas",
    }


def test_times_are_epoch_seconds_and_members_without_value_are_left_out() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)
    wire = Wire(
        "DescribeSchema", {"schema": {"name": "s", "creationDateTime": when, "domain": None}}
    )
    arn = "arn:aws:personalize:r:1:schema/s"
    assert wire.call(schemaArn=arn)[2] == {
        "schema": {"name": "s", "creationDateTime": 1767323045.5}
    }


def test_times_and_patterns_of_glue_are_understood() -> None:
    """Glue's patterns are written for Java, and its requests carry times."""
    wire = Wire("ListSessions", {"Ids": []}, "glue", "AWSGlue.ListSessions")
    assert wire.call(NextToken="a", MaxResults=1)[0] == "200 OK"
    runs = Wire("StartJobRun", {"JobRunId": "jr_1"}, "glue", "AWSGlue.StartJobRun")
    assert runs.call(JobName="日本語 😀", Arguments={"--DAY": "1"})[2] == {"JobRunId": "jr_1"}
    assert "regular expression" in runs.call(JobName="a\nb")[2]["message"]
    partitions = Wire("GetTable", {}, "glue", "AWSGlue.GetTable")
    partitions.call(DatabaseName="d", Name="t", QueryAsOfTime=1767323045)
    assert partitions.got[0]["QueryAsOfTime"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("time", [1e30, "yesterday", "1553631760", -1e20])
def test_an_invalid_timestamp_is_refused(time: Any) -> None:
    tables = Wire("GetTable", {}, "glue", "AWSGlue.GetTable")
    status, _, answer = tables.call(DatabaseName="d", Name="t", QueryAsOfTime=time)
    assert (status, tables.got) == ("400 Bad Request", [])
    assert answer["message"] == (
        f"1 validation error detected: Value '{time}' at 'QueryAsOfTime' failed to satisfy "
        "constraint: Member must be a valid timestamp"
    )


def test_invalid_base64_is_refused() -> None:
    keys = Wire("Encrypt", {}, "kms", "TrentService.Encrypt")
    answer = keys.call(KeyId="k", Plaintext="no base64!")[2]
    assert answer["message"].endswith("Member must be a valid blob")
    assert keys.call(KeyId="k", Plaintext="YQ==")[0] == "200 OK"
    assert keys.got == [{"KeyId": "k", "Plaintext": b"a"}]


def test_an_error_of_the_service_reaches_the_client() -> None:
    wire = Wire("DescribeSchema", ServiceError("ResourceNotFoundException", "no such schema"))
    status, headers, body = wire.call(schemaArn="arn:aws:personalize:r:1:schema/s")
    assert status == "400 Bad Request"
    assert headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert body == {"__type": "ResourceNotFoundException", "message": "no such schema"}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (ServiceError("LimitExceededException", "full"), "LimitExceededException: full"),
        (KeyError("x"), "KeyError: 'x'"),
        ({"schema": {"nam": "s"}}, "DescribeSchema.schema has no member nam"),
        ({"schema": {"name": 1}}, "DescribeSchema.schema.name must be of type string, not int"),
    ],
)
def test_an_own_fault_is_an_internal_failure(
    answer: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that AWS's contract forbids here, a crash, an answer beyond the model."""
    wire = Wire("DescribeSchema", answer)
    status, _, body = wire.call(schemaArn="arn:aws:personalize:r:1:schema/s")
    assert (status, body["__type"]) == ("500 Internal Server Error", "InternalFailure")
    assert text in body["message"]
    assert "DescribeSchema" in caplog.text


def test_a_service_has_only_its_own_operations() -> None:
    served: dict[str, Operation] = {"CreateEverything": lambda _: None}
    with pytest.raises(ValueError, match="'glue' has no operation CreateEverything"):
        JsonService("glue", served)
