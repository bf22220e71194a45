"""Write the generated documentation, or show how it is stale."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from docs.reference.documents import MarkerError, documents
from workflow.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Return 1 if something is stale and was not written, else 0."""
    parser = argparse.ArgumentParser(prog="python -m docs.reference", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something is stale"
    )
    check = parser.parse_args().check
    try:
        wanted = documents(ROOT)
    except (ConfigError, MarkerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = False
    for path, text in wanted.items():
        name = path.relative_to(ROOT).as_posix()
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if there == text:
            continue
        if check:
            stale = True
            lines = (there.splitlines(keepends=True), text.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, f"{name} (written)", name, n=2))
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{name}: written\n")
    if stale:
        sys.stderr.write("run 'python -m docs.reference' and commit what it writes\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
