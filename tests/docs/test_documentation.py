"""The documentation: generated parts are current, links have targets, examples are valid."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import psycopg
import pytest
import typer
from pyspark.sql import SparkSession

import etl.extraction
from docs.reference import MarkerError, documents, fill_markers
from docs.reference.commands import commands_of
from docs.reference.excerpts import FAILURES, states
from docs.reference.markdown import anchor
from etl.database import Database
from etl.runtime import LocalRuntime, RunFolder
from localaws.http.endpoint import Endpoint
from retrain.local.postgres import Postgres
from retrain.main import app
from tests.workflow.definitions import nested
from workflow.config import ConfigError, parse_config
from workflow.runs import advice

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READMES = [ROOT / "README.md", ROOT / "README.ja.md"]
TEXTS = [*READMES, ROOT / "CONTRIBUTING.md", *PAGES]
SAMPLE = tomllib.loads((ROOT / "retraining.toml").read_text(encoding="utf-8"))

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in their order."""
    return [text for tag, text in FENCE.findall(path.read_text("utf-8")) if tag == language]


def prose(path: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCE.sub("", path.read_text("utf-8"))


@pytest.mark.parametrize("path", [ROOT / "CHANGELOG.md", *TEXTS], ids=name_of)
def test_no_page_has_marks_of_a_merge(path: Path) -> None:
    marks = re.findall(r"^(?:<{7}|>{7}|\|{7}) .*|^={7}$", path.read_text("utf-8"), re.MULTILINE)
    assert marks == []


# Generated parts


def test_the_table_of_states_holds_those_in_branches_too() -> None:
    rows = [line.split(" | ") for line in states(nested(), {}).splitlines()[2:]]

    assert [(row[0].removeprefix("| "), row[4].removesuffix(" |")) for row in rows] == [
        ("**Each Region**", "Done"),
        ("⤷ **Both**", "end"),
        ("⤷ ⤷ **Count**", "Enough?"),
        ("⤷ ⤷ **Enough?**", "Counted, Miscounted"),
        ("⤷ ⤷ **Counted**", "end"),
        ("⤷ ⤷ **Miscounted**", "end"),
        ("⤷ ⤷ **Each File**", "end"),
        ("⤷ ⤷ ⤷ **Read**", "end"),
        ("⤷ ⤷ ⤷ **Unread**", "end"),
        ("⤷ **Left Out**", "end"),
        ("**Done**", "end"),
    ]


def test_generated_text_is_current():
    """If this fails: `python -m docs.reference`, and commit what it writes."""
    stale = [
        name_of(path)
        for path, text in documents(ROOT).items()
        if path.read_text(encoding="utf-8") != text
    ]

    assert stale == []


def test_both_readmes_list_every_command():
    names = [command.name for command in commands_of(app)]
    listed = {
        readme.name: re.findall(r"^  (\w[\w-]*(?: \w[\w-]*)?)  +", block, re.MULTILINE)
        for readme in READMES
        for block in blocks(readme, "text")
        if block.startswith("retrain COMMAND --help")
    }

    assert listed == {"README.md": names, "README.ja.md": names}


def test_the_failures_show_every_advice_that_there_is():
    texts = {
        advice.advice(error, cause, bucket="{bucket}", run="{run}", connection="{connection}")
        for error, cause in FAILURES
    }

    assert texts == {row["text"] for row in advice.TABLE["advice"]} | {advice.TABLE["otherwise"]}


def test_text_between_markers_is_generated_anew_and_the_rest_is_left():
    page = "before\n<!-- generated: one -->\nold\n<!-- end: one -->\nafter\n"

    once = fill_markers(page, {"one": lambda: "new\n"}, source="page.md")

    assert once == "before\n<!-- generated: one -->\n\nnew\n\n<!-- end: one -->\nafter\n"
    assert fill_markers(once, {"one": lambda: "new\n"}, source="page.md") == once


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (
            "<!-- generated: two -->\n<!-- end: two -->",
            "page.md: nothing makes 'two'; there are one",
        ),
        (
            "<!-- generated: one -->\n",
            "page.md: a '<!-- generated: NAME -->' lacks its '<!-- end: NAME -->'",
        ),
    ],
)
def test_a_marker_without_a_generator_or_an_end_is_refused(page: str, message: str):
    with pytest.raises(MarkerError, match=re.escape(message)):
        fill_markers(page, {"one": lambda: "new"}, source="page.md")


def test_check_lists_what_is_current():
    result = subprocess.run(
        [sys.executable, "-m", "docs.reference", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_reference_follows_a_configuration_that_is_not_the_samples(tmp_path: Path):
    """A function with another name is documented by its purpose."""
    for path in [ROOT / "retraining.toml", *READMES, *PAGES]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    config = tmp_path / "retraining.toml"
    text = config.read_text(encoding="utf-8").replace("labbase", "shop")
    text = text.replace("[aws]\n", '[aws]\nfunctions = { get-status = "our-status" }\n')
    config.write_text(text, encoding="utf-8")

    pages = documents(tmp_path)

    assert pages[tmp_path / "docs" / "asl.md"] == (ROOT / "docs" / "asl.md").read_text("utf-8")
    assert "our-status" in pages[tmp_path / "docs" / "configuration.md"]


def test_the_notebooks_change_of_the_workflow_is_possible_after_the_tutorials(tmp_path: Path):
    """Both add a state at the start, and names of states are unique."""
    composition, *_ = blocks(ROOT / "docs" / "tutorial.md", "python")
    table, *_ = blocks(ROOT / "docs" / "tutorial.md", "toml")
    example = (ROOT / "retraining.toml").read_text(encoding="utf-8")
    (tmp_path / "retraining.toml").write_text(f"{example}\n{table}", encoding="utf-8")
    (tmp_path / "retraining.py").write_text(composition, encoding="utf-8")
    notebook = nbformat.read(ROOT / "notebooks" / "2-build-and-run-the-workflow.ipynb", 4)
    setting, *cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    before_aws = [cell for cell in cells if "connect" not in cell][:5]
    handler = next(cell for cell in before_aws if cell.startswith("%%writefile "))
    before_aws.remove(handler)
    command, _, source = handler.partition("\n")
    (tmp_path / command.split()[1]).write_text(source, encoding="utf-8")
    begin = 'from pathlib import Path\nCONFIG = Path("retraining.toml").resolve()'

    result = subprocess.run(
        [sys.executable, "-c", "\n".join([begin, *before_aws])],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "\nCONFIG = " in setting
    assert result.returncode == 0, result.stderr
    assert '-    "Wait for the Backup": {' in result.stdout


# Links and commands


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_relative_links_lead_to_a_file_and_a_heading(path: Path):
    broken = []
    for link in LINK.findall(prose(path)):
        target, _, heading = link.partition("#")
        if ":" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(link)

    assert broken == []


def headings(path: Path) -> set[str]:
    return {
        anchor(text.replace("`", ""))
        for text in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    }


def commands_in(path: Path) -> Iterator[str]:
    """Yield every `retrain …` of a page, in console blocks and as code in its prose."""
    for block in blocks(path, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ ") and "retrain " in line.split("#")[0]:
                yield line[2:]
    code = [text for text in re.findall(r"`([^`\n]+)`", prose(path)) if text.startswith("retrain ")]
    yield from (text for text in code if "COMMAND" not in text)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_commands_exist_with_their_options(path: Path, monkeypatch: pytest.MonkeyPatch):
    """In an environment that names a database, as the pages say where a command needs one."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@127.0.0.1/shop")
    root: Any = typer.main.get_command(app)
    for line in commands_in(path):
        command, words = root, shlex.split(line.partition(" > ")[0], comments=True)
        assert words.pop(0) in ("retrain", ".venv/bin/retrain"), line
        while hasattr(command, "commands"):
            assert words, f"{line}: names a group of commands, not a command"
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        command.make_context(line, words)  # raises for options and values that there are not


# Configurations


def configurations(path: Path) -> Iterator[str]:
    """Yield the TOML blocks of a page that are not examples of mistakes."""
    text = path.read_text("utf-8")
    for block in FENCE.finditer(text):
        wrong = re.match(r"\s*```text\n\S+: \d+ mistakes?\n", text[block.end() :])
        if block[1] == "toml" and not wrong:
            yield block[2]


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_configurations_are_sound(path: Path):
    """A part of a configuration is checked within the page's own whole one, or the sample's."""
    whole: dict[str, Any] = SAMPLE
    for block in configurations(path):
        part = tomllib.loads(block)
        if "name" in part:
            whole = part
        parse_config(as_toml(within(whole, part)), source=name_of(path))


def within(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the tables of a part; its models are those of the part alone."""
    merged = dict(whole)
    for name, value in part.items():
        is_merged = isinstance(value, dict) and name != "models"
        merged[name] = {**whole.get(name, {}), **value} if is_merged else value
        if name == "datasets":
            for data_set, table in value.items():
                merged[name][data_set] = {**whole[name].get(data_set, {}), **table}
    return merged


def as_toml(value: dict[str, Any]) -> str:
    return "\n".join(f"{json.dumps(key)} = {inline(inner)}" for key, inner in value.items())


def inline(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)} = {inline(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value)


def test_the_mistakes_of_the_guide_are_those_that_check_reports():
    page = ROOT / "docs" / "own-database.md"
    example, wrong = shop(), blocks(page, "toml")[-2]
    message = next(text for text in blocks(page, "text") if text.startswith("shop.toml: "))

    with pytest.raises(ConfigError) as caught:
        parse_config(example[: example.index("[batch_inference]")] + wrong, source="shop.toml")

    assert f"{caught.value}\n" == message


def shop() -> str:
    """Return the whole configuration of the guide to one's own database."""
    return next(
        text for text in blocks(ROOT / "docs" / "own-database.md", "toml") if "name = " in text
    )


def test_the_guide_s_database_becomes_what_the_guide_says(
    postgres: Postgres, spark: SparkSession, tmp_path: Path
):
    """Its SQL, its configuration and the log that it quotes, on a real PostgreSQL and Spark."""
    page = ROOT / "docs" / "own-database.md"
    (sql,) = blocks(page, "sql")
    quoted = next(text for text in blocks(page, "text") if text.startswith("── write"))
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE guide")
    url = postgres.url.rpartition("/")[0] + "/guide"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)
    spec = parse_config(shop()).job_spec()
    log: list[str] = []

    with Endpoint(account="123456789012", region="ap-northeast-1") as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(
            Bucket="guide", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
        )
        runtime = LocalRuntime(
            spark=spark,
            folder=RunFolder(s3, "guide", "run"),
            database=Database.from_url(url),
            spec=spec,
            directory=tmp_path,
        )
        etl.extraction.run(runtime, spec, now=lambda: datetime.now(UTC), log=log.append)

    assert [line for line in log if line.startswith("── write")] == quoted.splitlines()


# The site


class FetchedUrls(HTMLParser):
    """The URLs that a browser fetches for a page without a click."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video", "audio", "embed"}:
            self.urls += [attributes.get("src") or "", *(attributes.get("srcset") or "").split()]
        if tag == "link":
            self.urls.append(attributes.get("href") or "")
        self.urls += re.findall(r"url\(([^)]+)\)", attributes.get("style") or "")


def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path: Path):
    site = tmp_path / "site"
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    pages = sorted(site.rglob("*.html"))
    fetched = FetchedUrls()
    for page in pages:
        fetched.feed(page.read_text(encoding="utf-8"))
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    fetched.urls += re.findall(r"@import\s*[\"']?([^\"';]+)", styles)
    fetched.urls += re.findall(r"url\([\"']?([^)\"']+)", styles)

    assert {path.name for path in pages} >= {f"{page.stem}.html" for page in PAGES}
    assert [url for url in fetched.urls if re.match(r"(https?:)?//", url)] == []
    assert not list(site.rglob("*.py"))
    picture = ROOT / "asl" / "retraining.svg"
    assert (site / "asl" / "retraining.svg").read_bytes() == picture.read_bytes()
    for page in ("index.html", "asl.html"):
        assert 'src="asl/retraining.svg"' in (site / page).read_text(encoding="utf-8")


def test_rendered_files_are_marked_and_stored_once():
    """But not those that are reviewed: the definition and its page."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    attributes = subprocess.run(
        ["git", "check-attr", "--stdin", "linguist-generated"],
        input="\n".join(listed),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert [line.partition(":")[0] for line in attributes if line.endswith(": true")] == [
        "asl/retraining.sdk.svg",
        "asl/retraining.svg",
        "asl/retraining.template.json",
        "docs/commands.md",
        "docs/configuration.md",
    ]
    assert [name for name in listed if name.endswith(".svg")] == [
        "asl/retraining.sdk.svg",
        "asl/retraining.svg",
        "docs/assets/favicon.svg",
    ]
