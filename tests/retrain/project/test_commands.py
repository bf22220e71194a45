"""`retrain init`, `preview` and `check --database-url`, run as a person runs them."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import psycopg
import pytest
import yaml

from etl.database import Database
from tests.mariadb import MariaDbDatabase
from tests.retrain.project.databases import SHOP, VIDEO

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "from retrain.main import main; main()"]
WRITTEN = [
    ".gitattributes",
    ".github/workflows/retraining.yml",
    ".gitignore",
    "asl/retraining.asl.json",
    "asl/retraining.md",
    "asl/retraining.svg",
    "notebooks/1-explore-the-data.ipynb",
    "notebooks/2-build-and-run-the-workflow.ipynb",
    "notebooks/3-explore-the-recommendations.ipynb",
    "notebooks/4-bring-your-own-model.ipynb",
    "retraining.toml",
    "tests/test_retraining.py",
]


def environment(url: str = "") -> dict[str, str]:
    given = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    return {**given, "DATABASE_URL": url} if url else given


def retrain(
    *arguments: str, cwd: Path, url: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env={**environment(url), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def files(directory: Path) -> list[str]:
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


@pytest.fixture
def video(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(VIDEO)
    return database


def test_init_writes_a_project_that_is_sound(tmp_path: Path, video: str):
    result = retrain("init", "--yes", "shop", cwd=tmp_path, url=video)

    project = tmp_path / "shop"
    assert (result.returncode, result.stderr) == (0, "")
    assert files(project) == WRITTEN
    for line in result.stdout.splitlines():
        assert len(line) <= 100
    assert "the users are the rows of accounts" in result.stdout
    text = (project / "retraining.toml").read_text("utf-8")
    assert "# Guess: the users are the rows of accounts.\n" in text
    password = re.findall(r":([^:@/]+)@", video)[0]
    assert all(password not in (project / name).read_text("utf-8") for name in WRITTEN)
    review = yaml.safe_load((project / ".github/workflows/retraining.yml").read_text("utf-8"))
    steps = "\n".join(step.get("run", "") for step in review["jobs"]["check"]["steps"])
    assert "retrain render --check" in steps
    assert "retrain diff --base" in steps
    assert "@VERSION@" not in steps
    assert retrain("check", cwd=project).returncode == 0
    assert retrain("render", "--check", cwd=project).returncode == 0


def test_init_overwrites_nothing_unless_it_is_told(tmp_path: Path, video: str):
    (tmp_path / "retraining.toml").write_text("mine")
    (tmp_path / ".gitignore").write_text("mine\n")
    mine = tmp_path / "notebooks" / "1-explore-the-data.ipynb"
    mine.parent.mkdir()
    mine.write_text("mine")

    refused = retrain("init", "--yes", cwd=tmp_path, url=video)

    assert refused.returncode == 1
    assert refused.stderr.startswith(".: has retraining.toml already; ")
    assert files(tmp_path) == [
        ".gitignore",
        "notebooks/1-explore-the-data.ipynb",
        "retraining.toml",
    ]
    assert (tmp_path / "retraining.toml").read_text() == "mine"

    told = retrain("init", "--yes", "--force", cwd=tmp_path, url=video)

    assert told.returncode == 0
    assert files(tmp_path) == WRITTEN
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert mine.read_text() == "mine"
    assert ".gitignore: exists" in told.stdout
    assert "notebooks/1-explore-the-data.ipynb: exists, and is left as it is\n" in told.stdout


def test_notebooks_are_added_to_a_project_without_outputs(tmp_path: Path):
    (tmp_path / "retraining.toml").write_bytes((ROOT / "retraining.toml").read_bytes())

    first, second = (retrain("notebooks", cwd=tmp_path) for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)
    assert "Written:\n  notebooks/1-explore-the-data.ipynb\n" in first.stdout
    assert "Written" not in second.stdout
    names = [name for name in WRITTEN if name.startswith("notebooks/")]
    assert files(tmp_path) == [*names, "retraining.toml"]
    for name in names:
        notebook = nbformat.read(tmp_path / name, as_version=4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.outputs for cell in cells] == [[]] * len(cells)
        assert {cell.execution_count for cell in cells} == {None}


def test_notebooks_need_a_configuration(tmp_path: Path):
    result = retrain("notebooks", cwd=tmp_path)

    assert result.returncode == 1
    assert "there is no such file" in result.stderr
    assert files(tmp_path) == []


def test_init_leaves_nothing_half_written(tmp_path: Path, video: str):
    (tmp_path / "tests").write_text("a file where a directory has to be")

    result = retrain("init", "--yes", cwd=tmp_path, url=video)

    assert result.returncode == 1
    assert "nothing is written" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tests"]


def test_init_asks_on_a_terminal_only(tmp_path: Path, video: str):
    result = retrain("init", cwd=tmp_path, url=video)

    assert result.returncode == 1
    assert result.stderr.startswith("not sure: Which table holds the events? Standard input is no")
    assert files(tmp_path) == []


def test_answers_on_a_terminal(tmp_path: Path, video: str):
    """Comments are the events; everything else is as guessed, but the deleted users."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "init"],
        cwd=tmp_path,
        env={**environment(video), "TERM": "dumb", "COLUMNS": "100"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        said, everything = "", ""
        answers = [("Number", "9\n"), ("Number", "2\n"), ("accounts.deleted_at", "n\n")]
        deadline = time.monotonic() + 120
        while (text := read(master)) is not None and time.monotonic() < deadline:
            said, everything = said + text, everything + text
            prompt = answers[0][0] if answers else ""
            if re.search(rf"{re.escape(prompt)}.*\]: $", said, re.DOTALL):
                os.write(master, (answers.pop(0)[1] if answers else "\n").encode())
                said = ""
        if time.monotonic() >= deadline:
            process.kill()
    os.close(master)

    assert process.returncode == 0
    assert "9 is not one of the numbers; write 1 to " in everything
    text = (tmp_path / "retraining.toml").read_text("utf-8")
    assert 'ITEM_ID = "comments.video_id"' in text
    assert "accounts.deleted_at IS NULL" not in text
    assert "videos.deleted_at IS NULL" in text


def read(terminal: int) -> str | None:
    """Return what a terminal shows, None at its end."""
    if not select.select([terminal], [], [], 0.5)[0]:
        return ""
    try:
        return os.read(terminal, 4096).decode() or None
    except OSError:  # the other end is closed
        return None


@pytest.mark.parametrize(
    "command", [("init", "--yes"), ("preview",), ("check", "--database-url", "URL")]
)
def test_an_unreachable_database_is_one_message(tmp_path: Path, command: tuple[str, ...]):
    url = "postgresql://me:secret@127.0.0.1:1/shop"
    example = ROOT / "retraining.toml"
    if command[0] != "init":
        (tmp_path / "retraining.toml").write_bytes(example.read_bytes())

    result = retrain(*(url if each == "URL" else each for each in command), cwd=tmp_path, url=url)

    assert result.returncode == 1
    assert result.stderr.startswith("postgresql database 'shop' at 127.0.0.1:1: ")
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.stderr


@pytest.mark.parametrize("command", [("preview",), ("check", "--database-url", "URL")])
def test_a_wrong_password_is_told_before_spark_is_needed(
    tmp_path: Path, database: str, command: tuple[str, ...]
):
    (tmp_path / "retraining.toml").write_bytes((ROOT / "retraining.toml").read_bytes())
    url = database.replace(Database.from_url(database).password, "wrong")
    arguments = (url if each == "URL" else each for each in command)

    result = retrain(*arguments, cwd=tmp_path, url=url, JAVA_HOME=str(tmp_path / "no-java"))

    assert result.returncode == 1
    assert "password authentication failed" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_shop_on_mariadb_from_init_to_preview(tmp_path: Path, mariadb: MariaDbDatabase):
    mariadb.execute(*SHOP)
    init = retrain("init", "--yes", cwd=tmp_path, url=mariadb.url)
    check = retrain("check", "--database-url", mariadb.url, cwd=tmp_path)

    preview = retrain("preview", "--rows", "1", cwd=tmp_path, url=mariadb.url)

    assert (init.returncode, check.returncode, preview.returncode) == (0, 0, 0)
    assert check.stdout.startswith("retraining.toml: sound, and fits the mysql database 'shop")
    assert (init.stderr, check.stderr, preview.stderr) == ("", "", "")
    lines = preview.stdout.splitlines()
    assert (
        "data set USERS  250 rows read of tbl_customer, 240 left by joins and filter," in lines[0]
    )
    assert "    1,m,Osaka,True,club" in lines
    assert any(
        line.split() == ["CITY", "tbl_customer.city", "categorical", "0.0%", "4", "Osaka"]
        for line in lines
    )


def test_preview_says_which_rows_are_rejected_and_that_a_table_is_empty(
    tmp_path: Path, video: str, java_of_jobs: Mapping[str, str]
):
    retrain("init", "--yes", cwd=tmp_path, url=video)
    text = (tmp_path / "retraining.toml").read_text("utf-8")
    filtered = 'filter = "playback_events.account_id IS NOT NULL"\n'
    assert filtered in text
    text, replaced = re.subn(  # of the users to recommend for, every id is too long
        r'(\[batch_inference\]\n(?:.*\n)*?user_id = )"(.+)"', r'\1"repeat(\2, 99)"', text
    )
    assert replaced == 1
    (tmp_path / "retraining.toml").write_text(text.replace(filtered, ""), "utf-8")
    with psycopg.connect(video, autocommit=True) as connection:
        connection.execute("TRUNCATE catalog.videos CASCADE")
        connection.execute(
            "ALTER TABLE playback_events DROP CONSTRAINT playback_events_video_id_fkey"
        )
        connection.execute(
            "INSERT INTO playback_events SELECT gen_random_uuid(), CASE WHEN n > 2 THEN"
            " md5('account' || n)::uuid END, gen_random_uuid(), 'start', NULL, '{}', now()"
            " FROM generate_series(1, 20) AS n"
        )

    result = retrain("preview", cwd=tmp_path, url=video, **java_of_jobs)

    assert result.returncode == 1
    assert "  ! table 'catalog.videos' has no rows\n" in result.stdout
    assert "  rejected 2: null id (USER_ID) 2\n" in result.stdout
    more = "  ! more rows are rejected than etl.max_rejected_share = 1.0% allows"
    assert result.stdout.count(more) == 2
    batch_input = result.stdout[result.stdout.index("batch input") :]
    assert more in batch_input


def test_check_reports_everything_that_does_not_fit_at_once(tmp_path: Path, video: str):
    retrain("init", "--yes", cwd=tmp_path, url=video)
    text = (tmp_path / "retraining.toml").read_text("utf-8")
    for right, wrong in (
        ('"accounts.country"', '"accounts.contry"'),
        ("videos.visibility = ", "videos.visible = "),
        ("array_join(videos.tags, '|')", "videos.tags"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    (tmp_path / "retraining.toml").write_text(text, "utf-8")

    result = retrain("check", "--database-url", video, cwd=tmp_path)

    assert result.returncode == 1
    first, *others = result.stderr.splitlines()
    assert first.startswith("retraining.toml: 3 mistakes in the postgresql database ")
    assert [line.strip().partition(": ")[0] for line in others] == [
        'datasets.users.columns.COUNTRY = "accounts.contry"',
        'datasets.items.columns.TAGS = "videos.tags"',
        "filter.eligible_items.filter ="
        " \"videos.visible = 'public' AND videos.deleted_at IS NULL\"",
    ]


def test_the_test_of_the_project_runs_the_workflow(
    tmp_path: Path, video: str, java_of_jobs: Mapping[str, str]
):
    retrain("init", "--yes", cwd=tmp_path, url=video)

    def run_tests(url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
            cwd=tmp_path,
            env={**environment(url), **java_of_jobs},
            capture_output=True,
            text=True,
            check=False,
        )

    without, run = run_tests(""), run_tests(video)

    assert "1 skipped" in without.stdout
    assert "1 passed" in run.stdout, run.stdout
