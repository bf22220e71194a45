"""The command that writes the generated documentation, or shows how it is stale."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from docs.reference.documents import MarkerError, documents
from workflow.mistakes import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write or check the documentation; return 1 if something is stale and not written, else 0."""
    parser = argparse.ArgumentParser(prog="python -m docs.reference", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something is stale"
    )
    check = parser.parse_args().check
    try:
        texts = documents(ROOT)
    except (ConfigError, MarkerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = False
    for path, text in texts.items():
        name = path.relative_to(ROOT).as_posix()
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if present == text:
            continue
        if check:
            stale = True
            lines = (present.splitlines(keepends=True), text.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, f"{name} (written)", name, n=2))
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{name}: written\n")
    if stale:
        sys.stderr.write("run 'python -m docs.reference' and commit what it writes\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
