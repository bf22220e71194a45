"""The hook by which the site shows the pictures of `asl/`, where each is stored once.

Pages refer to them as they lie in the repository, so that GitHub shows them too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_RENDERED = "asl"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the rendered pictures to the site's files."""
    for path in sorted((Path(config.docs_dir).parent / _RENDERED).glob("*.svg")):
        files.append(File.generated(config, f"{_RENDERED}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead a page's links to them to where they are in the site."""
    return markdown.replace(f"](../{_RENDERED}/", f"]({_RENDERED}/")
