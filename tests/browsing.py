"""Pages as headless Chromium shows them, and the faults that axe finds in them."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

BROWSER = Path(sys.prefix) / "browser"
PAGES = Path(__file__).parent / "pages"
DESKTOP, PHONE = 1280, 390
# Without a font texts have no height. matplotlib carries DejaVu; a machine may have others.
FONTS = f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{mpl.get_data_path()}/fonts/ttf</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{BROWSER}/unpacked/fontconfig</cachedir>
  <alias binding="same">
    <family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer>
  </alias>
  <alias binding="same">
    <family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer>
  </alias>
</fontconfig>
"""


@dataclass(frozen=True)
class Visit:
    """A page in the browser.

    Attributes:
        console: Lines on the browser's console.
        requests: URLs that the page fetched besides itself.
        width: Of the page, in pixels; more than the window's if it scrolls sideways.
        faults: What axe finds, each with the first element at fault.
    """

    console: tuple[str, ...]
    requests: tuple[str, ...]
    width: int
    faults: tuple[str, ...]


def visits(file: Path, widths: Sequence[int] = (DESKTOP, PHONE)) -> dict[tuple[int, str], Visit]:
    """Open a page at each width, in light and in dark."""
    settings = [(width, scheme) for width in widths for scheme in ("light", "dark")]
    pages = run("visit.mjs", [{"file": str(file), "width": w, "scheme": s} for w, s in settings])
    return {
        key: Visit(
            console=tuple(page["console"]),
            requests=tuple(page["requests"]),
            width=page["width"],
            faults=tuple(page["faults"]),
        )
        for key, page in zip(settings, pages, strict=True)
    }


def run(script: str, request: Any) -> Any:
    """Run a script of `tests/pages` that drives the browser; JSON in and out."""
    assert (BROWSER / "node_modules").is_dir(), "the browser is not installed: run make setup"
    unpacked = BROWSER / "unpacked"
    unpacked.mkdir(exist_ok=True)
    fonts = unpacked / "fonts.conf"
    fonts.write_text(FONTS)
    result = subprocess.run(
        [str(Path(sys.prefix) / "bin" / "node"), str(PAGES / script), str(BROWSER)],
        input=json.dumps(request),
        env={**os.environ, "TMPDIR": str(unpacked), "FONTCONFIG_FILE": str(fonts)},
        capture_output=True,
        text=True,
        timeout=300,  # a page that never loads
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
