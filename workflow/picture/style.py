"""The colours and letters of a picture, for light and dark pages.

Every rule names the picture's own id: a style sheet inside a page is the whole page's. Colours are
custom properties, so that a page can set its own; each rule also has the light one in plain words,
for programs that know no custom properties (Inkscape, librsvg).
"""

from __future__ import annotations

import re

_FONT = (
    'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",'
    '"Noto Sans CJK JP",Arial,sans-serif'
)

_LIGHT = {
    "canvas": "#ffffff",
    "inset": "#f4f6f9",
    "card": "#ffffff",
    "border": "#c3cbd5",
    "text": "#1c2128",
    "muted": "#57606a",
    "line": "#6b7683",
    "faint": "#d3d9e0",
    "faint-text": "#7b8592",
    "on-accent": "#ffffff",
    "catch": "#bc4c00",
    "task": "#2563eb",
    "choice": "#7c3aed",
    "wait": "#0f766e",
    "group": "#475569",
    "pass": "#64748b",
    "succeeded": "#1a7f37",
    "succeeded-card": "#ebf8ee",
    "failed": "#cf222e",
    "failed-card": "#ffefed",
    "running": "#0969da",
    "running-card": "#e6f2ff",
    "caught": "#bc4c00",
    "caught-card": "#fff3e5",
    "aborted": "#6e5a9e",
    "aborted-card": "#f4f0fa",
}
_DARK = {
    "canvas": "#0d1117",
    "inset": "#161c25",
    "card": "#1e2630",
    "border": "#465160",
    "text": "#f0f3f6",
    "muted": "#a5b0bc",
    "line": "#8792a0",
    "faint": "#2f3843",
    "faint-text": "#7d8896",
    "on-accent": "#0d1117",
    "catch": "#f0883e",
    "task": "#7aa7ff",
    "choice": "#b794f6",
    "wait": "#4fc3b5",
    "group": "#9fb0c5",
    "pass": "#9aa7b5",
    "succeeded": "#4cc864",
    "succeeded-card": "#12291a",
    "failed": "#ff7b72",
    "failed-card": "#351a1c",
    "running": "#6cb6ff",
    "running-card": "#122a45",
    "caught": "#f0883e",
    "caught-card": "#33210f",
    "aborted": "#b7a4e0",
    "aborted-card": "#272138",
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
_TYPES = {
    "Task": "task",
    "Choice": "choice",
    "Wait": "wait",
    "Map": "group",
    "Parallel": "group",
    "Pass": "pass",
    "Succeed": "succeeded",
    "Fail": "failed",
}
_STATUSES = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed out": "failed",
    "running": "running",
    "caught": "caught",
    "aborted": "aborted",
}

_RULES = """
& text{font-family:FONT;fill:$text}
& .canvas{fill:$canvas}
& .lane{fill:$canvas}
& .odd>.lane{fill:$inset}
& .name{font-size:13px;font-weight:600}
& .note,& .label{font-size:12px}
& .note{fill:$muted}
& .ground{fill:$canvas}
& .odd>.way>.ground{fill:$inset}
& .box{fill:$card;stroke:$border;stroke-width:1.25}
& .tile{fill:$group}
& .glyph{fill:none;stroke:$on-accent;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
& .solid{fill:$on-accent;stroke:none}
& .line{fill:none;stroke:$line;stroke-width:1.5}
& .head{fill:$line}
& .catch>.line{stroke:$catch;stroke-dasharray:5 4}
& .catch>.head{fill:$catch}
& .catch>.label{fill:$catch}
& .mark{fill:$text;stroke:$text;stroke-width:1.5}
& .end>.mark{fill:$canvas}
& .odd>.end>.mark{fill:$inset}
& .end>.dot{fill:$text}
& .word{font-size:12px;font-weight:600;text-anchor:middle}
& .start>.word{fill:$canvas}
& .unreached{opacity:.5}
& .idle>.line{stroke:$faint;stroke-width:1.25}
& .idle>.head{fill:$faint}
& .idle>.label{fill:$faint-text}
& .taken>.line{stroke-width:2.25}
& .taken:not(.catch)>.line{stroke:$text}
& .taken:not(.catch)>.head{fill:$text}
& .badge{stroke:$canvas;stroke-width:2}
& .reached>.note{font-weight:600}
"""


def style_sheet(picture_id: str) -> str:
    """Return the style sheet of the picture whose root has this id."""
    root = f"#{picture_id}"
    types = "\n".join(
        f'& [data-type="{name}"]>.tile{{fill:${colour}}}' for name, colour in _TYPES.items()
    )
    statuses = "\n".join(
        f'& [data-status="{name}"]>.box{{fill:${colour}-card;stroke:${colour};stroke-width:1.75}}\n'
        f'& [data-status="{name}"]>.tile,& [data-status="{name}"]>.badge,'
        f'& [data-status="{name}"]>.note{{fill:${colour}}}'
        for name, colour in _STATUSES.items()
    )
    rules = f"{_RULES.strip()}\n{types}\n{statuses}".replace("FONT", _FONT)
    rules = re.sub(
        r"([a-z-]+):\$([a-z-]+)",
        lambda found: f"{found[1]}:{_LIGHT[found[2]]};{found[1]}:var(--{found[2]})",
        rules,
    )
    return f"{themes(root)}\n{rules.replace('&', root)}"


def themes(selector: str) -> str:
    """Return the rules that give an element its colours on light and on dark pages."""
    dark, light = _properties(_DARK), _properties(_LIGHT)
    return "\n".join(
        (
            f"{selector}{{{light}}}",
            f"@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}",
            f"{','.join(f'{page} {selector}' for page in _ON_DARK_PAGES)}{{{dark}}}",
            f"{','.join(f'{page} {selector}' for page in _ON_LIGHT_PAGES)}{{{light}}}",
        )
    )


def _properties(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())
