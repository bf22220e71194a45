"""A team's own functions: what is packaged of their sources, and every mistake with its place."""

from pathlib import Path

import pytest

from tests.projects import ASK, HANDLER, project
from workflow import ConfigError
from workflow.deployment.function_sources import read_sources

ASK_FILE = "functions/ask_editors.py"


def mistakes(directory: Path, source: str | None, tables: str = ASK) -> list[tuple[str, str, str]]:
    """Return key, rule and fix of each mistake of a project; its directory is left out."""
    config = project(directory, tables, {ASK_FILE: source or ""})
    if source is None:
        (directory / ASK_FILE).unlink()
    with pytest.raises(ConfigError) as raised:
        read_sources(config)
    assert str(raised.value).startswith(f"{directory / 'retraining.toml'}: ")
    return [
        (mistake.key, mistake.rule.replace(f"{directory}/", ""), mistake.fix)
        for mistake in raised.value.mistakes
    ]


def test_the_source_is_packaged_with_what_it_imports_from_beside_it(tmp_path):
    config = project(
        tmp_path,
        files={
            ASK_FILE: f"import json, boto3, desks\nfrom lists.read import x\n{HANDLER}",
            "functions/desks.py": "import rooms\n",
            "functions/rooms.py": "import desks\ntry: import rarely\nexcept ImportError: ...\n",
            "functions/lists/__init__.py": "",
            "functions/lists/read.py": "from . import names\nx = 1\n",
            "functions/lists/names.py": "",
            "functions/lists/names.json": "[]",
            "functions/lists/.DS_Store": "",
            "functions/rarely.py": "",
            "functions/of_another.py": "import pandas\n",
            "functions/json.py": "raise RuntimeError\n",
        },
    )

    (source,) = read_sources(config).values()

    assert sorted(source.files) == [
        "ask_editors.py",
        "desks.py",
        "lists/__init__.py",
        "lists/names.json",
        "lists/names.py",
        "lists/read.py",
        "rarely.py",
        "rooms.py",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "from desk import handler\n",
        "handler = lambda event, context: 1\n",
        "def handler(*arguments): ...\n",
        "def handler(event, context, more=1): ...\n",
        "if True:\n    def handler(event, context): ...\n",
        "handler = made = lambda *all: 1\n",
        "def ask(e, c): ...\nhandler = ask\n",
        "try:\n    from desk import handler\nexcept ImportError:\n    handler = None\n",
        "handler = 3\nif __name__:\n    def handler(e, c): ...\n",
        "handler = 3\ndef handler(e, c): ...\n",
        "def two(f): return lambda e, c: f(e)\n@two\ndef handler(e): ...\n",
        "def two(f): return lambda e, c: f(e)\ndef handler(e): ...\nhandler = two(handler)\n",
        "handler = handler = globals()['print']\n",
        "class App:\n    def __call__(self, event, context): ...\nhandler: App = App()\n",
        f"try:\n    import pandas\nexcept ImportError:\n    pandas = None\n{HANDLER}",
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\n{HANDLER}",
        f"import sys\nif sys.version_info < (3, 11):\n    import tomli\n{HANDLER}",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import pandas\n"
        + HANDLER,
    ],
)
def test_a_handler_may_be_defined_in_any_way_that_lambda_takes(tmp_path, source):
    config = project(tmp_path, files={ASK_FILE: source, "functions/desk.py": HANDLER})

    assert ASK_FILE.rpartition("/")[2] in read_sources(config)["ask-editors"].files


@pytest.mark.parametrize(
    ("source", "rule", "fix"),
    [
        (None, f"there is no file {ASK_FILE}", "write it, with `def handler(event, context): …`"),
        ("x = 1\n", f"{ASK_FILE}: it has no function handler(event, context)", "add `def handler"),
        (
            "def lambda_handler(e, c): ...",
            "it has no function handler",
            "rename one of lambda_hand",
        ),
        ("x = 1\ndef handler(:\n", f"{ASK_FILE}, line 2: invalid syntax", "mend the syntax there"),
        ("x = 1\0", f"{ASK_FILE}: source code string cannot contain null", "mend the syntax there"),
        (
            "\n\ndef handler(event): ...",
            "line 3: handler does not take two arguments",
            "write `def",
        ),
        ("handler = 3\n", "line 1: handler is no function", "write `def handler(event, context):`"),
        ("handler: dict = {}\n", "line 1: handler is no function", "write `def handler(event"),
        (f"{HANDLER}handler = None\n", "line 3: handler is no function", "write `def handler"),
        ("x = 3\nhandler = x\n", "line 1: handler is no function", "write `def handler(event"),
        ("class handler: ...\n", "line 1: handler is no function", "write `def handler(event"),
        ("handler: object\n", "it has no function handler", "add `def handler(event, context)"),
        ("handler = lambda e: 1\n", "line 1: handler does not take two arguments", "write `def"),
        ("def ask(e): ...\nhandler = ask\n", "line 1: handler does not take two", "write `def"),
        ("if 1:\n  def handler(e): ...\n", "line 2: handler does not take two", "write `def"),
        ("try: import x\nexcept ImportError: handler = 3\n", "line 2: handler is no function", ""),
        ("def handler(a, b, c): ...", "line 1: handler does not take two arguments", "write `def"),
        ("def handler(a, b, *, c): ...", "line 1: handler does not take two", "write `def"),
        (
            "async def handler(a, b): ...",
            "line 1: handler is async, and Lambda awaits",
            "write def",
        ),
        (f"import json\nimport pandas.io\n{HANDLER}", "line 2: imports 'pandas', which", "add its"),
        (
            f"def f():\n  from pandas import x\n{HANDLER}",
            "line 2: imports 'pandas'",
            "add its pack",
        ),
        (
            f"import cgi\n{HANDLER}",
            "Python 3.13, which Lambda runs, has no module 'cgi'",
            "do with",
        ),
        (f"from . import desks\n{HANDLER}", "Lambda has no package around the file", "import with"),
        ("\0", f"{ASK_FILE}", "mend the syntax there"),
    ],
)
def test_a_fault_of_the_source_is_told_with_file_and_line(tmp_path, source, rule, fix):
    ((key, found, remedy),) = mistakes(tmp_path, source)

    assert key == "functions.ask-editors.source"
    assert rule in found
    assert remedy.startswith(fix)


def test_a_fault_of_a_module_beside_the_source_is_told_with_its_own_line(tmp_path):
    config = project(
        tmp_path,
        files={ASK_FILE: f"import desks\n{HANDLER}", "functions/desks.py": "\nimport pandas\n"},
    )

    with pytest.raises(ConfigError, match=r"functions/desks.py, line 2: imports 'pandas'"):
        read_sources(config)


@pytest.mark.parametrize(
    ("path", "rule", "fix"),
    [
        ("functions", "it is a folder", "name the Python file in it"),
        ("functions/ask_editor.py", "there is no file", "did you mean ask_editors.py?"),
        ("functions/ask-editors.py", "its name is that of no Python module", "rename it"),
        ("functions/json.py", "its name hides the module 'json' of Lambda's Python", "rename it"),
    ],
)
def test_a_path_that_is_no_usable_source_is_told(tmp_path, path, rule, fix):
    (tmp_path / "functions").mkdir()
    for name in ("ask-editors.py", "json.py"):
        (tmp_path / "functions" / name).write_text(HANDLER, "utf-8")
    tables = ASK.replace(ASK_FILE, path)

    ((key, found, remedy),) = mistakes(tmp_path, HANDLER, tables)

    assert key == "functions.ask-editors.source"
    assert found.startswith(rule)
    assert remedy.startswith(fix)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("../pod/ask.py", "outside the project"),
        ("functions/../../ask.py", "outside the project"),
        ("/opt/ask.py", "an absolute path"),
    ],
)
@pytest.mark.parametrize("key", ["functions.ask-editors.source", "workflow.definition"])
def test_a_file_that_another_machine_does_not_have_is_refused(tmp_path, path, place, key):
    table, _, name = key.rpartition(".")
    tables = f'[{table}]\n{name} = "{path}"\n'

    with pytest.raises(ConfigError) as raised:
        project(tmp_path, tables)

    (mistake,) = raised.value.mistakes
    assert (mistake.key, mistake.rule) == (
        key,
        f"it is {place}, which another machine does not have",
    )


def test_the_mistakes_of_all_functions_are_told_at_once(tmp_path):
    more = '\n[functions.ask-again]\nsource = "functions/again.py"\n'

    found = mistakes(tmp_path, "import pandas\n", ASK + more)

    assert [key for key, _, _ in found] == [
        "functions.ask-editors.source",
        "functions.ask-editors.source",
        "functions.ask-again.source",
    ]
