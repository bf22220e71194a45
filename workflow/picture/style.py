"""The colours and fonts of a picture, on light and dark backgrounds.

`picture.css` beside this module holds the rules, with `&` for the root: every rule names the root's
own id, because a style sheet inside a page is the whole page's. Colours are custom properties, so
that a page can set its own.
"""

from __future__ import annotations

import re
from importlib.resources import files

_COLOURS = {  # on light and on dark pages
    "canvas": ("#ffffff", "#0d1117"),
    "inset": ("#f4f6f9", "#161c25"),
    "card": ("#ffffff", "#1e2630"),
    "border": ("#c3cbd5", "#465160"),
    "text": ("#1c2128", "#f0f3f6"),
    "muted": ("#57606a", "#a5b0bc"),
    "line": ("#6b7683", "#8792a0"),
    "faint": ("#d3d9e0", "#2f3843"),
    "faint-text": ("#7b8592", "#7d8896"),
    "on-accent": ("#ffffff", "#0d1117"),
    "catch": ("#bc4c00", "#f0883e"),
    "task": ("#2563eb", "#7aa7ff"),
    "choice": ("#7c3aed", "#b794f6"),
    "wait": ("#0f766e", "#4fc3b5"),
    "group": ("#475569", "#9fb0c5"),
    "pass": ("#64748b", "#9aa7b5"),
    "succeeded": ("#1a7f37", "#4cc864"),
    "succeeded-card": ("#ebf8ee", "#12291a"),
    "failed": ("#cf222e", "#ff7b72"),
    "failed-card": ("#ffefed", "#351a1c"),
    "running": ("#0969da", "#6cb6ff"),
    "running-card": ("#e6f2ff", "#122a45"),
    "caught": ("#bc4c00", "#f0883e"),
    "caught-card": ("#fff3e5", "#33210f"),
    "aborted": ("#6e5a9e", "#b7a4e0"),
    "aborted-card": ("#f4f0fa", "#272138"),
}
_ON_DARK_PAGES = (
    '[data-theme="dark"]',
    '[data-color-mode="dark"]',
    '[data-jp-theme-light="false"]',
    "body.vscode-dark",
    "body.vscode-high-contrast",
)
_ON_LIGHT_PAGES = (
    '[data-theme="light"]',
    '[data-color-mode="light"]',
    '[data-jp-theme-light="true"]',
    "body.vscode-light",
    "body.vscode-high-contrast-light",
)

_RULES = (files("workflow.picture") / "picture.css").read_text(encoding="utf-8").strip()


def picture_style(root: str) -> str:
    """Return the style sheet of the picture with the selector `root`.

    Each rule also names the light colour itself, for programs that know no custom properties
    (Inkscape, librsvg).
    """
    rules = re.sub(
        r"([a-z-]+):var\(--([a-z-]+)\)",
        lambda match: f"{match[1]}:{_COLOURS[match[2]][0]};{match[0]}",
        _RULES.replace("&", root),
    )
    return f"{_themes(root)}\n{rules}"


def on_light(name: str) -> str:
    """Return a colour as it is on light pages, for example `#cf222e` for `failed`."""
    return _COLOURS[name][0]


def _themes(selector: str) -> str:
    """Return the rules that give an element its colours on light and on dark pages."""
    light = ";".join(f"--{name}:{colour}" for name, (colour, _) in _COLOURS.items())
    dark = ";".join(f"--{name}:{colour}" for name, (_, colour) in _COLOURS.items())
    return "\n".join(
        (
            f"{selector}{{{light}}}",
            f"@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}",
            f"{','.join(f'{page} {selector}' for page in _ON_DARK_PAGES)}{{{dark}}}",
            f"{','.join(f'{page} {selector}' for page in _ON_LIGHT_PAGES)}{{{light}}}",
        )
    )
