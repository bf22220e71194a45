"""Whatever files and texts come: each is taken in whole, or refused by what is wrong with it."""

import io
import json
import re
from itertools import count

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localaws.personalize.data.csv_reader import TableReader
from localaws.personalize.data.schemas import parse_schema
from localaws.personalize.errors import JobFailedError

from .account import HEADER, INTERACTIONS, PREFIX, Account, avro, events

OWN_FAULT = re.compile(r"\w+(Error|Exception): ")
"""The message of a fault of the service itself."""

many = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

PIECES = ("u1,", "i1,", "view,", "1700000000", "-1", "+1", "1_0", "1.5", " ", "é", "１", "\x00")
ENDS = (
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    ",",
    '"',
    '""',
    "\\",
    '\\"',
    "'",
    "\ufeff",
    "\u2028",
    "x" * 1001,
)
numbers = count()
csv_texts = st.lists(
    st.sampled_from(("u1,i1,view,1700000000\n", *PIECES, *ENDS)) | st.text(max_size=3)
).map("".join)


def read(text: str | bytes) -> list[list[object]] | str:
    """Return the rows of a file, or why it is refused."""
    schema = parse_schema(avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    reader = TableReader(schema)
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        reader.read("a.csv", io.BufferedReader(io.BytesIO(content)), lambda: None)  # type: ignore[arg-type]
        table = reader.table()
    except JobFailedError as error:
        return str(error)
    return [table.column(field.name).tolist() for field in schema.fields]


@many
@given(csv_texts)
def test_lines_split_at_once_read_as_the_csv_module_reads_them(text: str) -> None:
    """After a quote, all rows go through the module: one quoted value changes nothing else."""
    assert read(f"{HEADER}u,i,v,1\n{text}") == read(f'{HEADER}"u",i,v,1\n{text}')


def test_lines_are_counted_across_blocks_and_quotes() -> None:
    """A file of several blocks, with quoted values, blank lines and faults far apart."""
    row = "user,item,view,1700000000\n"
    text = f'{HEADER}{row * 50_000}u,i,v,x\n{row * 50_000}"u,",i,v,1\n\n{row * 50_000}u,i,v,y\n'
    assert read(text) == (
        "a.csv, line 50002, column TIMESTAMP: 'x' is no time in epoch seconds; "
        "a.csv, line 150005, column TIMESTAMP: 'y' is no time in epoch seconds"
    )


@pytest.fixture(scope="module")
def dataset(account: Account) -> str:
    """Return a dataset of interactions."""
    account.group("any")
    schema = account.schema("any", avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    return account.dataset("any", "Interactions", schema)


@many
@given(csv_texts | st.binary())
def test_any_file_is_imported_or_the_job_fails_with_its_position(
    account: Account, dataset: str, text: str | bytes
) -> None:
    more = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    location = account.put("any/events.csv", events().encode() + more)
    job = account.load(f"any-{next(numbers)}", dataset, location)
    if job["status"] == "CREATE FAILED":
        assert job["failureReason"].startswith("events.csv, line ")
        assert not OWN_FAULT.match(job["failureReason"])
    else:
        assert job["status"] == "ACTIVE"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(("string", "USER_ID", "", "null")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@st.composite
def schema_texts(draw: st.DrawFn) -> str:
    """Return a valid schema with some of its values changed, or any text."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.text(min_size=1) | json_values.map(json.dumps))
    schema = json.loads(avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    for entry in (schema, *schema["fields"]):
        for key in list(entry):
            if draw(st.integers(0, 9)) == 0:
                entry[key] = draw(json_values)
    if isinstance(schema["fields"], list):
        schema["fields"] += draw(st.lists(json_values, max_size=2))
    return json.dumps(schema)


@many
@given(schema_texts())
def test_any_text_is_a_schema_or_is_refused_as_invalid_input(account: Account, text: str) -> None:
    try:
        arn = account.schema("any-text", text)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidInputException"
        assert not OWN_FAULT.match(error.response["Error"]["Message"])
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            account.personalize.describe_schema(schemaArn=f"{PREFIX}:schema/any-text")
    else:
        account.delete("Schema", arn)


line_values = st.sampled_from(("u1", "nobody", "", "i1", "x" * 257, 1, None)) | json_values
batch_lines = (
    st.dictionaries(
        st.sampled_from(("userId", "itemId", "itemList", "filterValues", "é")), line_values
    ).map(json.dumps)
    | st.sampled_from(('{"userId": "u1"}', '{"userId": "u1"', "", "  ", "NaN", "\ufeff{}"))
    | st.text(max_size=5)
)


@many
@given(st.lists(batch_lines | st.binary(max_size=5), min_size=1).filter(any))
def test_any_line_of_a_batch_job_has_its_output_at_its_position(
    account: Account, trained: dict[str, str], lines: list[str | bytes]
) -> None:
    parts = [line if isinstance(line, bytes) else line.encode("utf-8", "replace") for line in lines]
    parsed = [line for line in b"\n".join(parts).split(b"\n") if line.strip()]
    source = account.put("any/in.json", b"\n".join(parts))
    name = f"any-{next(numbers)}"
    job = account.infer(name, trained["version"], source, f"s3://data/{name}/")
    assert job["status"] == "ACTIVE"
    results = account.read_lines(f"{name}/in.json.out")
    assert len(results) == len(parsed)
    for line, answer in zip(parsed, results, strict=True):
        assert (answer["output"] is None) == bool(answer["error"])
        if answer["output"]:
            assert answer["input"] == json.loads(line)
            assert len(answer["output"]["recommendedItems"]) == 25
