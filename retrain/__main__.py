"""`python -m retrain` is the command `retrain`, which takes no modules of the current directory."""

import os
import sys

if sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109  the same text as Python's own
    del sys.path[0]

from retrain.main import main

main()
