"""The files that are generated, whole or between markers, and their texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import excerpts
from docs.reference.commands import command_list, commands_page
from docs.reference.configuration import configuration_page
from retrain.main import app
from workflow.config import Config, load_config
from workflow.definition.graph import retraining_graph

_MARKED = ("README.md", "README.ja.md", "docs/asl.md", "docs/operations.md", "docs/emulator.md")
_MARKER = re.compile(
    r"(<!-- generated: (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(\n?<!-- end: (?P=name) -->)", re.DOTALL
)


class MarkerError(ValueError):
    """A page has an unknown marker, or one without its end; the message names the known ones."""


def documents(root: Path) -> dict[Path, str]:
    """Return the text of each file that is generated, in whole or in part.

    Args:
        root: The path of the repository.

    Raises:
        MarkerError: If a page has an unknown marker.
        ConfigError: If the configuration cannot be used.
    """
    example = (root / "retraining.toml").read_text(encoding="utf-8")
    config = load_config(root / "retraining.toml")
    functions = {config.function(name): name for name in config.function_names}
    generators: Mapping[str, Callable[[], str]] = {
        "commands": lambda: f"```text\n{command_list(app)}```\n",
        "states": lambda: excerpts.states(retraining_graph(config).to_dict(), functions),
        "retries": excerpts.retries,
        "waits": excerpts.waits,
        "failures": excerpts.failures,
        "assumptions": excerpts.assumptions,
        "recipes": excerpts.recipes,
        "personalize-operations": excerpts.personalize_operations,
        "sagemaker-operations": excerpts.sagemaker_operations,
    }
    pages = {
        root / "docs" / "configuration.md": configuration_page(Config.model_json_schema(), example),
        root / "docs" / "commands.md": commands_page(app),
    }
    for name in _MARKED:
        path = root / name
        pages[path] = fill_markers(path.read_text(encoding="utf-8"), generators, source=name)
    return pages


def fill_markers(page: str, generators: Mapping[str, Callable[[], str]], *, source: str) -> str:
    """Return a page with the text between its markers generated anew.

    Args:
        page: Text with `<!-- generated: NAME -->` … `<!-- end: NAME -->` in it.
        generators: Name → function that returns the text.
        source: The page's name in errors.

    Raises:
        MarkerError: If a name has no generator, or a marker no end.
    """

    def generate(match: re.Match[str]) -> str:
        generator = generators.get(match["name"])
        if generator is None:
            raise MarkerError(
                f"{source}: nothing makes '{match['name']}'; there are {', '.join(generators)}"
            )
        return f"{match[1]}\n{generator().strip()}\n\n<!-- end: {match['name']} -->"

    if page.count("<!-- generated: ") != len(_MARKER.findall(page)):
        raise MarkerError(f"{source}: a '<!-- generated: NAME -->' lacks its '<!-- end: NAME -->'")
    return _MARKER.sub(generate, page)
