"""Every file that the code writes, whole or between markers, with the text that it is to hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import excerpts
from docs.reference.commands import command_list, commands_page
from docs.reference.configuration import configuration_page
from retrain.main import app
from workflow.config import FUNCTIONS, Config, load_config
from workflow.definition.graph import retraining_graph

_MARKED = ("README.md", "README.ja.md", "docs/asl.md", "docs/operations.md", "docs/emulator.md")
_MARKER = re.compile(
    r"(<!-- generated: (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(\n?<!-- end: (?P=name) -->)", re.DOTALL
)


class MarkerError(ValueError):
    """A page has a marker that stands for nothing; says which there are."""


def documents(root: Path) -> dict[Path, str]:
    """Return what each file that is generated, in whole or in part, is to hold.

    Args:
        root: the repository.

    Raises:
        MarkerError: a page has an unknown marker.
        ConfigError: the configuration cannot be used.
    """
    example = (root / "retraining.toml").read_text(encoding="utf-8")
    config = load_config(root / "retraining.toml")
    functions = {config.function(name): name for name in FUNCTIONS}
    makers: Mapping[str, Callable[[], str]] = {
        "commands": lambda: f"```text\n{command_list(app)}```\n",
        "states": lambda: excerpts.states(retraining_graph(config).to_dict(), functions),
        "retries": excerpts.retries,
        "waits": excerpts.waits,
        "failures": excerpts.failures,
        "assumptions": excerpts.assumptions,
        "recipes": excerpts.recipes,
        "personalize-operations": excerpts.personalize_operations,
    }
    pages = {
        root / "docs" / "configuration.md": configuration_page(Config.model_json_schema(), example),
        root / "docs" / "commands.md": commands_page(app),
    }
    for name in _MARKED:
        path = root / name
        pages[path] = spliced(path.read_text(encoding="utf-8"), makers, source=name)
    return pages


def spliced(page: str, makers: Mapping[str, Callable[[], str]], *, source: str) -> str:
    """Return a page with what stands between its markers made anew.

    Args:
        page: text with `<!-- generated: NAME -->` … `<!-- end: NAME -->` in it.
        makers: what makes the text of a name.
        source: how errors name the page.

    Raises:
        MarkerError: nothing makes a name, or a marker has no end.
    """

    def made(found: re.Match[str]) -> str:
        maker = makers.get(found["name"])
        if maker is None:
            raise MarkerError(
                f"{source}: nothing makes '{found['name']}'; there are {', '.join(makers)}"
            )
        return f"{found[1]}\n{maker().strip()}\n\n<!-- end: {found['name']} -->"

    if page.count("<!-- generated: ") != len(_MARKER.findall(page)):
        raise MarkerError(f"{source}: a '<!-- generated: NAME -->' lacks its '<!-- end: NAME -->'")
    return _MARKER.sub(made, page)
