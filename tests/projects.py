"""Projects as a team has them: a configuration with tables of its own, and the files beside it."""

from collections.abc import Mapping
from pathlib import Path

from workflow import Config, load_config

EXAMPLE = (Path(__file__).parents[1] / "retraining.toml").read_text(encoding="utf-8")
ASK = """
[functions.ask-editors]
source = "functions/ask_editors.py"
"""
HANDLER = "def handler(event, context):\n    return event\n"


def project(directory: Path, tables: str = ASK, files: Mapping[str, str] | None = None) -> Config:
    """Write a project and return its configuration.

    Args:
        directory: Where.
        tables: TOML that is added to the example's.
        files: Text of each further file by its path; `ASK`'s source is a handler if left out.
    """
    (directory / "retraining.toml").write_text(EXAMPLE + tables, encoding="utf-8")
    write(directory, {"functions/ask_editors.py": HANDLER, **(files or {})})
    return load_config(directory / "retraining.toml")


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write texts to paths below a directory."""
    for path, text in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
