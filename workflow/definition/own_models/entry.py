"""What SageMaker starts in a training container: the model's script, whose source goes with it.

It stands in the root of the source as `retraining_entry.py`, and is never imported. The script
runs as it would alone, with its arguments. Then the source is copied to `code/` of the model, where
the containers that serve look for it: those of PyTorch look nowhere else. A script that writes no
model fails the training here, not the transform after it.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = "RETRAINING_SCRIPT"
"""The variable with the script's path in the source."""


def main() -> int:
    """Run the script, and return the exit code of the training."""
    source, model = Path(__file__).resolve().parent, Path(os.environ["SM_MODEL_DIR"])
    script = source / os.environ[SCRIPT]
    paths = [str(source), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, str(script), *sys.argv[1:]],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )

    def pass_on(number: int, _frame: Any) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    code = process.wait()
    if code:
        return 128 - code if code < 0 else code
    if not any(path.is_file() for path in model.rglob("*")):
        print(  # noqa: T201
            f"NoModelError: {os.environ[SCRIPT]} ended without writing a model: it writes its files"
            " into the directory that SM_MODEL_DIR names",
            file=sys.stderr,
        )
        return 1
    if not (model / "code").exists():
        without = shutil.ignore_patterns("__pycache__", "*.pyc", Path(__file__).name)
        shutil.copytree(source, model / "code", ignore=without)
    return 0


if __name__ == "__main__":
    sys.exit(main())
