"""The packages of this distribution keep their names, whatever lies in the current directory.

Python looks there first, in Jupyter and in `python -m pytest`: a project that has a `workflow.py`,
an `etl.py` or an `analysis` folder would break the library. So the wheel has a `.pth` file, which
calls `reserve` at each start of Python; see `setup.py`.

pytest rewrites the assertions of plugins' packages, and warns of those that are imported already:
`PYTEST_DONT_REWRITE` in their docstrings says that there is nothing to rewrite.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import LazyLoader, module_from_spec
from pathlib import Path

NAMES = ("analysis", "etl", "lambdas", "localaws", "recommenders", "retrain", "workflow")


def reserve() -> None:
    """Make the packages known to `import`; each is read when it is first used."""
    here = [str(Path(__file__).parents[1])]
    for name in NAMES:
        spec = PathFinder.find_spec(name, here)
        if name in sys.modules or spec is None or spec.loader is None:
            continue
        spec.loader = LazyLoader(spec.loader)
        module = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(module)
