"""Damaged files of a data directory are named at the start, and the rest is served."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.aws import LocalAws
from localaws.persistence.data_directory import DataDirectoryError
from localaws.persistence.documents import Documents
from localaws.personalize.data.files import Files
from localaws.personalize.data.store import Store
from localaws.personalize.errors import DamagedRowsError
from localaws.personalize.training.solution_version import check_saved
from tests.zips import zipped

ACCOUNT, REGION = "111122223333", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/all"
RECIPE = "arn:aws:personalize:::recipe/aws-popularity-count"
GROUP = f"arn:aws:personalize:{REGION}:{ACCOUNT}:dataset-group/shop"
FIELDS = (("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"))


def opened(directory: Path) -> LocalAws:
    return LocalAws(directory=directory, account=ACCOUNT, region=REGION, port=None, time_scale=0)


def settled(describe: Callable[[], str]) -> str:
    deadline = time.monotonic() + 60
    while (status := describe()).endswith(("PENDING", "IN_PROGRESS")):
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
    return status


def create_function(aws: LocalAws, name: str, result: str) -> None:
    source = f"def handler(event, context):\n    return {result!r}\n"
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zipped({"app.py": source})},
    )


def train(aws: LocalAws) -> None:
    """Import 1,000 interactions, add one by an event, train a version and deploy a campaign."""
    rows = [f"u{n % 40},i{n % 17},{1_700_000_000 + n}" for n in range(1_200)]
    table = "\n".join([",".join(name for name, _ in FIELDS), *rows])
    aws.client("s3").put_object(Bucket="rows", Key="interactions.csv", Body=table.encode())
    personalize = aws.client("personalize")
    schema = {
        "type": "record",
        "name": "Interactions",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [{"name": name, "type": type_} for name, type_ in FIELDS],
        "version": "1.0",
    }
    schema_arn = personalize.create_schema(name="events", schema=json.dumps(schema))["schemaArn"]
    personalize.create_dataset_group(name="shop")
    settled(lambda: describe(aws, "dataset_group", GROUP)["status"])
    dataset = personalize.create_dataset(
        name="events", schemaArn=schema_arn, datasetGroupArn=GROUP, datasetType="INTERACTIONS"
    )["datasetArn"]
    settled(lambda: describe(aws, "dataset", dataset)["status"])
    imported = import_rows(aws, "first")
    assert describe(aws, "dataset_import_job", imported)["status"] == "ACTIVE"
    tracker = personalize.create_event_tracker(name="clicks", datasetGroupArn=GROUP)
    settled(lambda: describe(aws, "event_tracker", tracker["eventTrackerArn"])["status"])
    aws.client("personalize-events").put_events(
        trackingId=tracker["trackingId"],
        sessionId="s",
        userId="u1",
        eventList=[{"eventType": "click", "itemId": "i1", "sentAt": 1_700_009_999}],
    )
    personalize.create_solution(name="popular", datasetGroupArn=GROUP, recipeArn=RECIPE)
    solution = arn_of("solution", "popular")
    settled(lambda: describe(aws, "solution", solution)["status"])
    version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    assert settled(lambda: describe(aws, "solution_version", version)["status"]) == "ACTIVE"
    personalize.create_campaign(name="home", solutionVersionArn=version, minProvisionedTPS=1)
    settled(lambda: describe(aws, "campaign", arn_of("campaign", "home"))["status"])


def import_rows(aws: LocalAws, name: str) -> str:
    job: str = aws.client("personalize").create_dataset_import_job(
        jobName=name,
        datasetArn=arn_of("dataset", "shop/INTERACTIONS"),
        dataSource={"dataLocation": "s3://rows/interactions.csv"},
        roleArn=ROLE,
    )["datasetImportJobArn"]
    settled(lambda: describe(aws, "dataset_import_job", job)["status"])
    return job


def arn_of(path: str, name: str) -> str:
    return f"arn:aws:personalize:{REGION}:{ACCOUNT}:{path}/{name}"


def describe(aws: LocalAws, type_: str, arn: str) -> dict[str, Any]:
    member = "".join(word.title() if n else word for n, word in enumerate(type_.split("_")))
    response = getattr(aws.client("personalize"), f"describe_{type_}")(**{f"{member}Arn": arn})
    described: dict[str, Any] = response[member]
    return described


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory that has a file of each kind."""
    directory = tmp_path_factory.mktemp("whole") / "aws"
    with opened(directory) as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="rows")
        s3.put_object(Bucket="rows", Key="a", Body=b"first object")
        s3.put_object(Bucket="rows", Key="b", Body=b"second object")
        create_function(aws, "one", "1")
        create_function(aws, "two", "2")
        aws.client("lambda").invoke(FunctionName="one", Payload=b"{}")
        train(aws)
    return directory


@pytest.fixture
def directory(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "aws", symlinks=True)


def _replaced_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "random": lambda path: path.write_bytes(bytes(range(7, 256)) * 4),
    "other JSON": lambda path: path.write_bytes(b'["other"]'),
    "removed": Path.unlink,
    "a directory": _replaced_by_directory,
}


def first(directory: Path, pattern: str) -> Path:
    return sorted(directory.glob(pattern))[0]


def invoked(aws: LocalAws, name: str) -> Any:
    return json.load(aws.client("lambda").invoke(FunctionName=name, Payload=b"{}")["Payload"])


def functions_state(aws: LocalAws) -> dict[str, str]:
    listed = aws.client("lambda").list_functions()["Functions"]
    return {function["FunctionName"]: function["State"] for function in listed}


def check_the_rest(aws: LocalAws) -> None:
    assert aws.client("s3").get_object(Bucket="rows", Key="b")["Body"].read() == b"second object"
    assert invoked(aws, "two") == "2"


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_needs_a_damaged_file_fails_with_its_name_until_it_is_made_again(
    directory: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """Of an object, a package, rows and a model at once; the others of each are served."""
    (stored,) = [path for path in (directory / "s3").iterdir() if b"first" in path.read_bytes()[:5]]
    (archive,) = [
        path
        for path in (directory / "functions/code").glob("*.zip")
        if b"'1'" in path.with_suffix("").joinpath("app.py").read_bytes()
    ]
    package = archive.read_bytes()
    rows = first(directory, "personalize/data/*/bulk.npz")
    model = first(directory, "personalize/models/*/recommender.npz")
    for path in (stored, archive, rows, model):
        DAMAGES[damage](path)
    # These hold nothing that is needed.
    for path in ("functions/logs/one.log", *(["lock"] if damage != "a directory" else [])):
        DAMAGES[damage](directory / path)
    for unpacked in (directory / "functions/code").glob("*/app.py"):
        DAMAGES[damage](unpacked)

    with opened(directory) as aws:
        s3, functions = aws.client("s3"), aws.client("lambda")
        with pytest.raises(ClientError, match=f"InternalError.*{stored.name} is damaged"):
            s3.get_object(Bucket="rows", Key="a")
        settings = functions.get_function_configuration(FunctionName="one")
        with pytest.raises(functions.exceptions.InvalidZipFileException, match="is damaged"):
            functions.invoke(FunctionName="one")
        solution = arn_of("solution", "popular")
        (version,) = aws.client("personalize").list_solution_versions()["solutionVersions"]
        campaign = describe(aws, "campaign", arn_of("campaign", "home"))
        imported = describe(aws, "dataset_import_job", arn_of("dataset-import-job", "first"))
        with pytest.raises(ClientError, match="import all of the dataset again"):
            trained_version(aws, solution)
        check_the_rest(aws)
        named = caplog.text
        assert "Traceback" not in named

        s3.put_object(Bucket="rows", Key="a", Body=b"again")
        functions.update_function_code(FunctionName="one", ZipFile=package)
        assert invoked(aws, "one") == "1"
        import_rows(aws, "second")
    assert (settings["State"], settings["StateReasonCode"]) == ("Failed", "InternalError")
    assert settings["StateReason"].startswith(f"{archive} is damaged: ")
    for resource in (version, campaign, imported):
        assert resource["status"] == "CREATE FAILED"
    assert version["failureReason"].startswith(f"{model.parent} is damaged: ")
    assert campaign["failureReason"] == version["failureReason"]
    assert imported["failureReason"].startswith(str(rows))
    for path in (stored, archive, rows, model.parent):
        assert str(path) in named

    with opened(directory) as aws:
        assert functions_state(aws) == {"one": "Active", "two": "Active"}
        assert aws.client("s3").get_object(Bucket="rows", Key="a")["Body"].read() == b"again"
        assert trained_version(aws, solution)["status"] == "ACTIVE"
        check_the_rest(aws)


def trained_version(aws: LocalAws, solution: str) -> dict[str, Any]:
    created = aws.client("personalize").create_solution_version(solutionArn=solution)
    arn = created["solutionVersionArn"]
    settled(lambda: str(describe(aws, "solution_version", arn)["status"]))
    return describe(aws, "solution_version", arn)


@pytest.mark.parametrize("file", ["bulk.npz", "dataset.json", "streamed-*.npz"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_file_of_rows_is_named(directory: Path, damage: str, file: str) -> None:
    DAMAGES[damage](first(directory, f"personalize/data/*/{file}"))

    with closing(Documents(directory / "aws.sqlite")) as documents:
        store = Store(Files(directory / "personalize/data", documents))

        dataset = arn_of("dataset", "shop/INTERACTIONS")
        assert list(store.damage) == [dataset]
        assert f"/{file.partition('-')[0]}" in store.damage[dataset]
        with pytest.raises(DamagedRowsError, match="import all of the dataset again"):
            store.get(dataset)


@pytest.mark.parametrize("file", ["recommender.json", "recommender.npz", "training.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_file_of_a_model_is_found(directory: Path, damage: str, file: str) -> None:
    path = first(directory, f"personalize/models/*/{file}")
    check_saved(path.parent)
    DAMAGES[damage](path)

    with pytest.raises(Exception, match=r"."):
        check_saved(path.parent)


@pytest.mark.parametrize("is_removed", [True, False])
def test_files_in_place_of_directories_are_moved_aside(
    directory: Path, caplog: pytest.LogCaptureFixture, *, is_removed: bool
) -> None:
    names = ("s3", "functions", "glue", "personalize", "sagemaker", "tmp")
    for name in names:
        shutil.rmtree(directory / name, ignore_errors=True)
        if not is_removed:
            (directory / name).write_bytes(b"no directory")

    with opened(directory) as aws:
        create_function(aws, "three", "3")
        aws.client("s3").put_object(Bucket="rows", Key="b", Body=b"second object")
        assert invoked(aws, "three") == "3"
        assert functions_state(aws) == {"one": "Failed", "two": "Failed", "three": "Active"}
        with pytest.raises(ClientError, match=r"InternalError.*is damaged"):
            aws.client("s3").get_object(Bucket="rows", Key="a")
        campaign = describe(aws, "campaign", arn_of("campaign", "home"))
        imported = describe(aws, "dataset_import_job", arn_of("dataset-import-job", "first"))
    assert {campaign["status"], imported["status"]} == {"CREATE FAILED"}
    for name in names if not is_removed else ():
        (aside,) = directory.glob(f"{name}.damaged-*")
        assert aside.read_bytes() == b"no directory"
        assert f"{directory / name} is no directory: it is {aside} now" in caplog.text


def test_a_directory_in_place_of_the_lock_is_one_message(directory: Path) -> None:
    DAMAGES["a directory"](directory / "lock")

    with pytest.raises(DataDirectoryError, match="lock cannot be opened"), opened(directory):
        pass


def test_a_database_with_damaged_pages_ends_the_start(directory: Path) -> None:
    database = directory / "aws.sqlite"
    content = bytearray(database.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = b"\xa5" * 64
    database.write_bytes(content)

    with pytest.raises(DataDirectoryError, match="--repair"), opened(directory):
        pass


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_a_damaged_document_is_named_and_stays(
    directory: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    with closing(sqlite3.connect(directory / "aws.sqlite")) as database, database:
        database.execute("UPDATE documents SET document = ? WHERE key = 'one'", (text,))

    with opened(directory) as aws:
        assert functions_state(aws) == {"two": "Active"}
        check_the_rest(aws)
    assert "aws.sqlite: the document of function one is damaged and left out" in caplog.text
    with closing(sqlite3.connect(directory / "aws.sqlite")) as database:
        query = "SELECT document FROM documents WHERE kind = 'damaged'"
        assert database.execute(query).fetchall() == [(text,)]


def test_a_damaged_database_of_an_earlier_version_is_named_and_stays(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former = directory / "personalize/resources.sqlite"
    former.write_bytes(b"no database, but long enough to be read as one" * 9)

    with opened(directory) as aws:
        check_the_rest(aws)
    assert f"{former} is damaged" in caplog.text
    assert former.exists()
