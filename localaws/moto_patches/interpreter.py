"""moto's interpreter of state machines, imported without what it does not need.

For the names of some statuses it imports moto's Batch, and so all of EC2, whose tables take a
second at each start of a local AWS. Batch itself is loaded when it is first called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec


@contextmanager
def _empty_package(name: str) -> Iterator[None]:
    """Let a package's modules be imported without the package's own code."""
    spec = find_spec(name)
    if name in sys.modules or spec is None:
        yield
        return
    sys.modules[name] = module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[name]


with _empty_package("moto.batch"):
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

__all__ = ["stepfunctions_parser_backends"]
