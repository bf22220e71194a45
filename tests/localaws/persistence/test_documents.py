"""Documents keep every text that a request can have, in one file, whatever ends the process."""

import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localaws.persistence.documents import Documents

PUTTING = """
import sys
from localaws.persistence.documents import Documents

documents = Documents(sys.argv[1])
for number in range(200):
    documents.put("numbers", str(number), {"number": number, "text": "x" * 2_000})
print("done", flush=True)
sys.stdin.read()
"""
WITH_LOG = PUTTING.replace(
    "for number", "documents._file.execute('PRAGMA journal_mode = WAL')\nfor number"
)
IN_THE_MIDST = """
import sqlite3, sys

file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("PRAGMA journal_mode = TRUNCATE")
file.execute("PRAGMA cache_size = 2")  # pages: the file is written before the end
file.execute("BEGIN")
file.execute("UPDATE documents SET document = replace(document, 'x', 'yy'), key = key || ' too'")
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("text", ["日本😀", "\ud800", "a\udc00b"])
def test_a_document_keeps_each_text(tmp_path: Path, text: str) -> None:
    """Half of a surrogate pair too, which JSON can escape and UTF-8 cannot hold."""
    documents = Documents(tmp_path / "documents.sqlite")
    documents.put("texts", "a", {"text": text})
    documents.close()
    again = Documents(tmp_path / "documents.sqlite")
    assert again.get("texts", "a") == {"text": text}
    again.close()


def test_a_member_is_read_without_the_rest(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    documents = Documents(tmp_path / "documents.sqlite")
    documents.put("runs", "b", {"description": {"text": "\ud800", "at": moment}, "events": [1]})
    documents.put("runs", "a", {"description": {"bytes": b"\xff"}, "events": []})
    documents.put("others", "c", {"description": {}})

    assert list(documents.members("runs", "description")) == [
        ("b", {"text": "\ud800", "at": moment}),
        ("a", {"bytes": b"\xff"}),
    ]
    documents.close()


def kill(program: str, path: Path) -> None:
    """Run a program on a file, and kill it when it has printed a line."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"done\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL


def numbers(documents: Documents) -> list[int]:
    return [document["number"] for _, document in documents.all("numbers")]


def remove_all_but(path: Path) -> list[str]:
    others = [other for other in path.parent.iterdir() if other != path]
    for other in others:
        other.unlink()
    return [other.name for other in others]


def test_the_file_alone_has_every_document_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    kill(PUTTING, path)
    remove_all_but(path)

    documents = Documents(path)

    assert documents.damage() == []
    assert numbers(documents) == [*range(200)]
    documents.close()


def test_a_kill_in_the_midst_of_a_put_leaves_the_documents_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    kill(PUTTING, path)
    kill(IN_THE_MIDST, path)

    documents = Documents(path)

    assert documents.damage() == []
    assert numbers(documents) == [*range(200)]
    assert documents.get("numbers", "7") == {"number": 7, "text": "x" * 2_000}
    documents.close()


def test_a_kill_in_the_midst_of_a_put_without_its_journal_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    kill(PUTTING, path)
    kill(IN_THE_MIDST, path)
    assert remove_all_but(path) == ["documents.sqlite-journal"]

    documents = Documents(path)

    assert documents.damage() != []
    documents.close()


def test_a_file_with_a_write_ahead_log_of_an_earlier_version_opens(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    kill(WITH_LOG, path)
    assert (tmp_path / "documents.sqlite-wal").stat().st_size > 100_000

    Documents(path).close()
    remove_all_but(path)

    documents = Documents(path)
    assert numbers(documents) == [*range(200)]
    documents.close()
