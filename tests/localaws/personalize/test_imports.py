"""Import jobs: which files they take, and why they fail."""

import json

import pytest

from .account import HEADER, INTERACTIONS, ROLE, Account, avro, events, refusal


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        (None, "", "Invalid Data location."),
        (
            "a.csv",
            "USER_ID,TIMESTAMP\nu,1\n",
            "Input CSV is missing the following columns:[ITEM_ID, EVENT_TYPE].",
        ),
        ("B.csv", "USER_ID,USER_ID\n", "B.csv, line 1: USER_ID stands there twice"),
        ("b.csv", '"USER_ID",ITEM_ID\n', "b.csv, line 1: column names must not be quoted"),
        (
            "c.csv",
            HEADER + 'u,"i 1",v,1\nu,i,v,1700000000000\n,i,v\n\nu,,v,x\n',
            "c.csv, line 3, column TIMESTAMP: '1700000000000' is too large for epoch seconds; "
            "it looks like milliseconds, divide by 1,000; "
            "c.csv, line 4: 3 values, the header has 4; "
            "c.csv, line 6, column ITEM_ID: is empty, but never null in the schema; "
            "c.csv, line 6, column TIMESTAMP: 'x' is no time in epoch seconds",
        ),
        (
            "d.csv",
            HEADER + "u" * 257 + ",i,v,1\n",
            "d.csv, line 2, column USER_ID: 257 characters; at most 256 are allowed",
        ),
        (
            "e.csv",
            events(999),
            "Dataset has fewer than 1000 interactions: 999 in s3://data/faults/e.csv.",
        ),
        (
            "f.csv",
            HEADER.encode() + b"\xe9,i,v,1\n",
            "f.csv, line 2: not UTF-8 (byte 0xe9 invalid continuation byte); save it as UTF-8",
        ),
        ("g.csv", b"\x1f\x8b\x08", "g.csv: gzip is not supported; unpack the file"),
        (
            "h.csv",
            HEADER + 'u,"i',
            "h.csv, line 2: a quoted value does not end on its line; each record stands on one"
            " line, so replace line breaks by spaces",
        ),
        (
            "i.csv",
            HEADER + 'u,i,v,1\nu,i,"a\nb",1\n',
            "i.csv, line 3: a quoted value does not end on its line; each record stands on one"
            " line, so replace line breaks by spaces",
        ),
        (
            "j.csv",
            HEADER + 'u,i,"a ""b"" c",1\n',
            "j.csv, line 2: a quote stands inside a value; put the value in double quotes and"
            r" write \" for it",
        ),
        (
            "k.csv",
            HEADER + 'u,i,5" disk,1\n',
            "k.csv, line 2: a quote stands inside a value; put the value in double quotes and"
            r" write \" for it",
        ),
        (
            "l.csv",
            HEADER + 'u,i,"C:\\dir",1\n',
            r"l.csv, line 2: a backslash stands alone; write \\ for it, and \" for a quote",
        ),
        (
            "m.csv",
            HEADER + "u,i," + "v" * 1_001 + ",1\n",
            "m.csv, line 2, column EVENT_TYPE: 1001 characters; at most 1,000 are allowed",
        ),
        (
            "n.csv",
            HEADER + "".join(f"u{n},i,type-{n % 10},{n}\n" for n in range(1_200)),
            "10 event types and 1 fields (EVENT_TYPE); Interactions has at most 10 of both"
            " together",
        ),
    ],
)
def test_an_import_has_a_failure_reason(
    account: Account, trained: dict[str, str], key: str | None, content: str | bytes, reason: str
) -> None:
    location = account.put(f"faults/{key}", content) if key else "s3://data/nowhere/"
    name = key[0] if key else "none"
    job = account.load(f"fault-{name}", trained["dataset"], location)
    assert (job["status"], job["failureReason"]) == ("CREATE FAILED", reason)


def test_a_failed_import_leaves_the_data_as_they_were(
    account: Account, trained: dict[str, str]
) -> None:
    account.load("broken", trained["dataset"], account.put("broken.csv", HEADER + "u,i,v,x\n"))
    assert account.train(trained["solution"])["status"] == "ACTIVE"


def test_null_incremental_rows_and_several_files(account: Account) -> None:
    """Items of two files, one replaced and one added later; a new item can be recommended."""
    group = account.group("posts")
    nullable = avro("Items", ("ITEM_ID", "string"), ("FIELD", ["null", "string"])).replace(
        '"FIELD"', '"FIELD", "categorical": true'
    )
    items = account.dataset("posts", "Items", account.schema("posts", nullable))
    more = account.put("more/1.csv", "ITEM_ID,FIELD\ni0,physics\nnew,\n")
    call = account.personalize.create_dataset_import_job
    code, message = refusal(
        call,
        jobName="posts-early",
        datasetArn=items,
        dataSource={"dataLocation": more},
        importMode="INCREMENTAL",
    )
    assert code == "InvalidInputException"
    assert message.startswith("importMode INCREMENTAL needs an earlier import")
    account.put("posts/1.csv", "FIELD,ITEM_ID,NOT_IN_SCHEMA\nbiology,i0,x\n,i1,\n")
    account.put("posts/2.csv", 'ITEM_ID,FIELD\r\ni2,"a, b"\r\n')
    assert account.load("posts", items, "s3://data/posts/")["status"] == "ACTIVE"
    assert account.load("posts-2", items, more, importMode="INCREMENTAL")["status"] == "ACTIVE"

    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    dataset = account.dataset("posts", "Interactions", account.schema("clicks", clicks))
    account.load("clicks", dataset, account.put("clicks.csv", events()))
    version = account.train(account.solution("posts", group, "aws-popularity-count"))
    source = account.put("posts.json", '{"userId":"u1"}\n')
    account.infer(
        "posts", version["solutionVersionArn"], source, "s3://data/posts-out/", numResults=500
    )
    body = account.s3.get_object(Bucket="data", Key="posts-out/posts.json.out")["Body"].read()
    recommended = json.loads(body)["output"]["recommendedItems"]
    assert sorted(recommended) == sorted(["new", *(f"i{n}" for n in range(40))])
    assert recommended[-1] == "new"


def test_every_type_of_value_is_read_and_checked(account: Account) -> None:
    fields = ("int", "long", "float", "double", "boolean", "string")
    text = avro(
        "Users", ("USER_ID", "string"), *((f"A_{type_}".upper(), type_) for type_ in fields)
    ).replace('"A_STRING"', '"A_STRING", "categorical": true')
    account.group("typed")
    dataset = account.dataset("typed", "Users", account.schema("typed", text))
    header = "USER_ID,A_INT,A_LONG,A_FLOAT,A_DOUBLE,A_BOOLEAN,A_STRING\n"
    good = "u1,-2147483648,9223372036854775807,1e-3,-.5,true,a|b\nu2,1,2,3,4,false,日本\n"
    assert (
        account.load("good", dataset, account.put("t/a.csv", header + good))["status"] == "ACTIVE"
    )
    bad = f"u1,2147483648,9223372036854775808,nan,1_0,True,{'x' * 1001}\n"
    job = account.load("bad", dataset, account.put("t/b.csv", header + bad))
    assert job["failureReason"].split("; ") == [
        "b.csv, line 2, column A_INT: '2147483648' is no int",
        "b.csv, line 2, column A_LONG: '9223372036854775808' is no long",
        "b.csv, line 2, column A_FLOAT: 'nan' is no float",
        "b.csv, line 2, column A_DOUBLE: '1_0' is no double",
        "b.csv, line 2, column A_BOOLEAN: 'True' is no boolean",
        "write true or false in lower case",
        "b.csv, line 2, column A_STRING: 1001 characters",
        "at most 1,000 are allowed",
    ]


def test_a_dataset_takes_a_schema_that_has_more(account: Account) -> None:
    group = account.group("growing")
    fields = (("ITEM_ID", "string"), ("COLOUR", "string"), ("STOCK", "int"))
    more = (*fields, ("SIZE", ["null", "int"]))
    narrow = account.schema("narrow", avro("Items", *fields))
    items = account.dataset("growing", "ITEMS", narrow)
    first = account.put("growing/1.csv", "ITEM_ID,COLOUR,STOCK\na,red,1\n")
    assert account.load("growing-1", items, first)["status"] == "ACTIVE"

    wide = account.schema("wide", avro("Items", *more))
    account.personalize.update_dataset(datasetArn=items, schemaArn=wide)

    described = account.personalize.describe_dataset(datasetArn=items)["dataset"]
    second = account.put("growing/2.csv", "ITEM_ID,COLOUR,STOCK,SIZE\nb,blue,2,7\n")
    added = account.load("growing-2", items, second, importMode="INCREMENTAL")
    lacking = refusal(account.personalize.update_dataset, datasetArn=items, schemaArn=narrow)
    strict = account.schema("strict", avro("Items", *more, ("WEIGHT", "int")))
    never_null = refusal(account.personalize.update_dataset, datasetArn=items, schemaArn=strict)
    account.delete("Dataset", items)
    account.delete("DatasetGroup", group)

    assert (described["status"], described["schemaArn"]) == ("ACTIVE", wide)
    assert described["latestDatasetUpdate"]["status"] == "ACTIVE"
    assert added["status"] == "ACTIVE"
    assert lacking == (
        "InvalidInputException",
        f"schema {narrow} cannot replace {wide}: field SIZE is missing; a field can only be added",
    )
    assert never_null[1].endswith(
        "field WEIGHT is new and never null; make its type a union with null"
    )


def test_texts_are_read_as_the_developer_guide_writes_them(account: Account) -> None:
    """Its example of items; texts with escaped quotes and backslashes; texts that are cut.

    https://docs.aws.amazon.com/personalize/latest/dg/items-datasets.html
    """
    text = """{"type": "record", "name": "Items", "namespace": "com.amazonaws.personalize.schema",
      "fields": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": true},
        {"name": "CREATION_TIMESTAMP", "type": "long"},
        {"name": "DESCRIPTION", "type": ["null", "string"], "textual": true}
      ], "version": "1.0"}"""
    account.group("texts")
    dataset = account.dataset("texts", "Items", account.schema("texts", text))
    comedy = "This is a romantic comedy, released in 1999. Audience is young women."
    rows = [
        f'3,Comedy|Romance,1560515629,"{comedy}"',
        r'4,,1,"A \"new\" C:\\path"',
        f'5,,1,"{"x" * 20_001}"',
        f"6,,1,{'求人' * 3_501}",
        f"7,,1,{'あ' * 7_000}{'x' * 7_001}",
    ]
    lines = ["ITEM_ID,GENRES,CREATION_TIMESTAMP,DESCRIPTION", *rows, ""]
    job = account.load("texts", dataset, account.put("texts.csv", "\n".join(lines)))
    assert job["status"] == "ACTIVE", job.get("failureReason")
    arn = account.personalize.create_dataset_export_job(
        jobName="texts",
        datasetArn=dataset,
        ingestionMode="BULK",
        roleArn=ROLE,
        jobOutput={"s3DataDestination": {"path": "s3://data/texts-out/"}},
    )["datasetExportJobArn"]
    assert account.settled("DatasetExportJob", arn)["status"] == "ACTIVE"
    assert account.get("texts-out/texts.csv").splitlines() == [
        lines[0],
        rows[0],
        rows[1],
        f"5,,1,{'x' * 20_000}",
        f"6,,1,{'求人' * 3_500}",
        rows[4],
    ]


@pytest.mark.parametrize("flag", ["", '"textual": true, '])
def test_items_need_a_category_or_a_number(account: Account, flag: str) -> None:
    name = f"plain-{len(flag)}"
    schema = avro("Items", ("ITEM_ID", "string"), ("TITLE", "string"), ("SOLD", "boolean"))
    schema = schema.replace('"name": "TITLE"', f'{flag}"name": "TITLE"')
    account.group(name)
    dataset = account.dataset(name, "Items", account.schema(name, schema))
    job = account.load(name, dataset, account.put(f"{name}.csv", "ITEM_ID,TITLE,SOLD\na,b,true\n"))
    assert job["failureReason"] == (
        "Items needs at least one categorical or numerical field besides ITEM_ID; texts, plain"
        " strings and booleans are none"
    )


def test_an_increment_adds_the_events_that_are_not_there_yet(account: Account) -> None:
    """Of events with the same time and properties one is kept.

    https://docs.aws.amazon.com/personalize/latest/dg/import-data.html
    """
    group = account.group("again")
    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    dataset = account.dataset("again", "Interactions", account.schema("again", clicks))
    old, new = (
        "".join(f"u{n % 50},{item},view,{1_700_000_000 + n}\n" for n in range(count))
        for item, count in (("old", 1_400), ("new", 1_000))
    )
    account.load("again-1", dataset, account.put("again/1.csv", HEADER + old + new))

    again = account.put("again/2.csv", HEADER + new)
    imported = account.load("again-2", dataset, again, importMode="INCREMENTAL")

    assert imported["status"] == "ACTIVE"
    version = account.train(account.solution("again", group, "aws-popularity-count"))
    source = account.put("again.json", '{"userId":"u1"}\n')
    account.infer("again", version["solutionVersionArn"], source, "s3://data/again-out/")
    body = account.s3.get_object(Bucket="data", Key="again-out/again.json.out")["Body"].read()
    assert json.loads(body)["output"]["recommendedItems"] == ["old", "new"]
