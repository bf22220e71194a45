"""The AWS Step Functions Data Science SDK, put right: the only module that imports it.

What it adds to the SDK (2.3.0, in effect frozen since 2022):

- the fields of the Amazon States Language that it lacks (`ResultSelector`, `ErrorPath`,
  `CausePath`, `MaxDelaySeconds`, `JitterStrategy`), as subclasses of its own steps;
- the partition of service ARNs from the caller instead of from boto3's current region, so that
  the same configuration renders the same bytes everywhere;
- an import of a second instead of five to nine: SageMaker, which only its SageMaker steps need,
  is left out unless the program has imported it already;
- a root logger left as it was.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import ModuleType
from typing import Any, ClassVar


class _SageMakerStandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers `import sagemaker…` with empty modules whose every attribute is an empty class."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".", maxsplit=1)[0] != "sagemaker":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        def attribute(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__dict__["__getattr__"] = attribute


@contextmanager
def _quick_quiet_import() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    stand_in = None if "sagemaker" in sys.modules else _SageMakerStandIn()
    if stand_in:
        sys.meta_path.insert(0, stand_in)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
        if stand_in:
            sys.meta_path.remove(stand_in)
            for name in [name for name in sys.modules if name.split(".")[0] == "sagemaker"]:
                del sys.modules[name]


with _quick_quiet_import():
    from stepfunctions.steps import (
        Catch,
        Chain,
        Choice,
        ChoiceRule,
        Graph,
        Map,
        Pass,
        Succeed,
        Task,
        Wait,
    )
    from stepfunctions.steps import Fail as _Fail
    from stepfunctions.steps import GlueStartJobRunStep as _GlueStartJobRunStep
    from stepfunctions.steps import LambdaStep as _LambdaStep
    from stepfunctions.steps import Retry as _Retry
    from stepfunctions.steps import SnsPublishStep as _SnsPublishStep
    from stepfunctions.steps.states import State
    from stepfunctions.workflow import Execution, Workflow

__all__ = [
    "Catch",
    "Chain",
    "Choice",
    "ChoiceRule",
    "Execution",
    "Fail",
    "GlueStartJobRunStep",
    "Graph",
    "LambdaStep",
    "Map",
    "Pass",
    "Retry",
    "SnsPublishStep",
    "State",
    "Succeed",
    "Task",
    "Wait",
    "Workflow",
]


class _Field(Enum):
    ResultSelector = "result_selector"
    ErrorPath = "error_path"
    CausePath = "cause_path"
    MaxDelaySeconds = "max_delay_seconds"
    JitterStrategy = "jitter_strategy"


class Retry(_Retry):  # type: ignore[misc]
    """A retrier; takes `max_delay_seconds` and `jitter_strategy` (`FULL` or `NONE`) too."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this block takes."""
        return [*super().allowed_fields(), _Field.MaxDelaySeconds, _Field.JitterStrategy]


class Fail(_Fail):  # type: ignore[misc]
    """A Fail state; takes `error_path` and `cause_path` too."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this state takes."""
        return [*super().allowed_fields(), _Field.ErrorPath, _Field.CausePath]


class _ServiceStep(Task):  # type: ignore[misc]
    """A service step whose partition is an argument, and which takes `result_selector` too.

    The SDK's own constructors are passed over: they ask boto3 for the current session's region
    and so fail, or render another ARN, under another AWS configuration.
    """

    integration: ClassVar[str]

    def __init__(self, state_id: str, *, partition: str = "aws", **kwargs: Any) -> None:
        resource = f"arn:{partition}:states:::{self.integration}"
        Task.__init__(self, state_id, resource=resource, **kwargs)

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this state takes."""
        return [*super().allowed_fields(), _Field.ResultSelector]


class LambdaStep(_ServiceStep, _LambdaStep):  # type: ignore[misc]
    """Invokes a Lambda function."""

    integration = "lambda:invoke"


class GlueStartJobRunStep(_ServiceStep, _GlueStartJobRunStep):  # type: ignore[misc]
    """Runs a Glue job and waits for its end."""

    integration = "glue:startJobRun.sync"


class SnsPublishStep(_ServiceStep, _SnsPublishStep):  # type: ignore[misc]
    """Publishes a message to a topic."""

    integration = "sns:publish"
