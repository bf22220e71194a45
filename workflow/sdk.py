"""The AWS Step Functions Data Science SDK, put right: the only module that imports it.

    from workflow.sdk import LambdaStep, TrainingStep

Every step of the SDK (2.3.0, in effect frozen since 2022) is here, under its name. What is added:

- the fields of the Amazon States Language that it lacks (`ResultSelector`, `ErrorPath`,
  `CausePath`, `MaxDelaySeconds`, `JitterStrategy`; of tasks and waits in JSONata `QueryLanguage`,
  `Arguments` and `Output`), as subclasses of its own steps;
- `partition`, an argument of each service step: the SDK asks boto3 for the current region, so that
  the same configuration rendered other bytes, or none, under another AWS configuration;
- an import of half a second instead of five to nine: SageMaker is loaded when one of its steps is
  first named, here or in `stepfunctions.steps`, IPython when a table is first shown in a notebook;
- pictures of a `Workflow` and an `Execution` that load nothing from a network;
- a root logger left as it was.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3

_SAGEMAKER_MODULES = ("stepfunctions.steps.sagemaker", "stepfunctions.template")


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
def offline_sagemaker() -> Iterator[None]:
    """Hide the machine's settings of AWS from the SageMaker SDK, and what it says of itself.

    Its import makes sessions of them, and each estimator a client that is not used here: a profile
    that does not exist would end both, and without credentials they would wait for those of an
    instance. boto3's default session, which the client has made, is put back.
    """
    session, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    nothing = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    nothing["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ.update(nothing)
    try:
        with quiet_sagemaker():
            yield
    finally:
        boto3.DEFAULT_SESSION = session
        for name in nothing:
            del os.environ[name]
        os.environ.update(hidden)


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Keep the root logger's level, which the SDK and SageMaker set, and hide their warnings."""
    root = logging.getLogger()
    level = root.level
    try:
        with offline_sagemaker(), _iris_when_checked(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)


@contextmanager
def _iris_when_checked() -> Iterator[None]:
    """Build the grammar of IRIs, which takes two seconds, when an IRI is first checked.

    SageMaker imports jsonschema, and that imports the grammar wherever JupyterLab has brought it.
    """
    name = "rfc3987_syntax"
    if name in sys.modules or importlib.util.find_spec(name) is None:
        yield
        return

    def is_valid_syntax(term: str, value: str) -> bool:
        return bool(importlib.import_module(name).is_valid_syntax(term, value))

    sys.modules[name] = stand_in = _module(name, is_valid_syntax=is_valid_syntax)
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


@contextmanager
def quiet_sagemaker() -> Iterator[None]:
    """Hide what SageMaker says of itself; its errors, and the warnings of others, stay.

    It logs which of its defaults it does not apply, and that its version 3 exists, for every
    program that uses it. Loggers whose level somebody has set keep it.
    """
    loggers = [logging.getLogger(name) for name in ("sagemaker", "sagemaker.config")]
    quieted = [logger for logger in loggers if logger.level == logging.NOTSET]
    for logger in quieted:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"sagemaker(\.|$)")
            yield
    finally:
        for logger in quieted:
            logger.setLevel(logging.NOTSET)


def _html(*arguments: Any, **fields: Any) -> Any:
    """Return IPython's HTML, which the SDK imports to show a table in a notebook."""
    from IPython.display import HTML  # noqa: PLC0415 - scripts do without

    return HTML(*arguments, **fields)  # type: ignore[no-untyped-call]


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module


@contextmanager
def _without_what_it_seldom_needs() -> Iterator[None]:
    """Import the SDK with stand-ins for SageMaker, IPython and pkg_resources, and forget them.

    Of pkg_resources, which reads the metadata of all that is installed, it asks its own version.
    """
    stand_in = _SageMakerStandIn()
    sys.meta_path.insert(0, stand_in)
    modules = {
        "pkg_resources": _module(
            "pkg_resources", require=lambda name: [SimpleNamespace(version=version(name))]
        ),
        "IPython": _module("IPython"),
        "IPython.core": _module("IPython.core"),
        "IPython.core.display": _module("IPython.core.display", HTML=_html),
    }
    missing = {name: each for name, each in modules.items() if name not in sys.modules}
    sys.modules.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
        sys.meta_path.remove(stand_in)
        for name in list(sys.modules):
            if name.startswith(("sagemaker", *_SAGEMAKER_MODULES)):
                del sys.modules[name]


def _import_sdk() -> None:
    if "sagemaker" in sys.modules or "stepfunctions" in sys.modules:
        importlib.import_module("stepfunctions")
        return
    with _without_what_it_seldom_needs():
        sdk = importlib.import_module("stepfunctions")
    steps = sdk.steps
    names = {
        name
        for name, value in vars(steps).items()
        if getattr(value, "__module__", "") == "stepfunctions.steps.sagemaker"
    }

    def sagemaker_step(name: str) -> Any:
        """Load the steps that need SageMaker when one of them is first named."""
        if name not in names:
            raise AttributeError(f"module 'stepfunctions.steps' has no attribute {name!r}")
        with _quiet_import():
            module = importlib.import_module("stepfunctions.steps.sagemaker")
        for each in names:
            setattr(steps, each, getattr(module, each))
        return getattr(module, name)

    def template(name: str) -> Any:
        """Load the pipelines of SageMaker when they are first named."""
        if name != "template":
            raise AttributeError(f"module 'stepfunctions' has no attribute {name!r}")
        with _quiet_import():
            return importlib.import_module("stepfunctions.template")

    for module, loaded, load in (
        (steps, (*names, "sagemaker"), sagemaker_step),
        (sdk, ("template",), template),
    ):
        for name in loaded:
            delattr(module, name)
        vars(module)["__getattr__"] = load
    vars(steps)["__dir__"] = lambda: sorted(vars(steps).keys() | names)


with _quiet_import():
    _import_sdk()
    from stepfunctions import steps as _sdk
    from stepfunctions.inputs import ExecutionInput, StepInput
    from stepfunctions.steps import (
        Chain,
        Choice,
        ChoiceRule,
        Graph,
        Pass,
        Succeed,
        integration_resources,
    )
    from stepfunctions.steps.states import FrozenGraph, State
    from stepfunctions.workflow import Execution as SdkExecution
    from stepfunctions.workflow import Workflow as SdkWorkflow
    from stepfunctions.workflow.stepfunctions import ExecutionsList, ExecutionStatus


def sagemaker_module(name: str) -> Any:
    """Return a module of the SageMaker SDK, which is loaded when one is first asked for.

    Args:
        name: Its full name, for example `sagemaker.estimator`.
    """
    with _quiet_import():
        return importlib.import_module(name)


def offline_session(region: str, bucket: str) -> Any:
    """Return a session of the SageMaker SDK that makes requests of estimators, and no calls.

    One that the SDK makes reads AWS's configuration and credentials, and the defaults of the
    machine, by which the same configuration would give other requests.

    Args:
        region: Named in requests.
        bucket: What stands in where a request names no bucket.
    """
    session_type = sagemaker_module("sagemaker.session").Session
    session = object.__new__(session_type)
    vars(session).update(
        boto_session=SimpleNamespace(region_name=region),
        default_bucket_prefix=None,
        local_mode=False,
        s3_resource=None,
        sagemaker_config={},
        settings=sagemaker_module("sagemaker.session_settings").SessionSettings(),
        _config=None,
        _default_bucket=bucket,
        _default_bucket_name_override=None,
        _default_bucket_set_by_sdk=False,
        _region_name=region,
    )
    return session


_partition = ContextVar("partition", default="aws")
integration_resources.get_aws_partition = _partition.get


class _Field(Enum):
    QueryLanguage = "query_language"
    Arguments = "arguments"
    Output = "output"
    ResultSelector = "result_selector"
    ErrorPath = "error_path"
    CausePath = "cause_path"
    MaxDelaySeconds = "max_delay_seconds"
    JitterStrategy = "jitter_strategy"


class Retry(_sdk.Retry):  # type: ignore[misc]
    """A retrier; takes `max_delay_seconds` and `jitter_strategy` (`FULL` or `NONE`) too."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this block takes."""
        return [*super().allowed_fields(), _Field.MaxDelaySeconds, _Field.JitterStrategy]


class Catch(_sdk.Catch):  # type: ignore[misc]
    """A catcher; takes `output` too, in JSONata in place of `result_path`."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this block takes."""
        return [*super().allowed_fields(), _Field.Output]


class Wait(_sdk.Wait):  # type: ignore[misc]
    """A Wait state; takes `query_language` too, and then an expression as `seconds`."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this state takes."""
        return [*super().allowed_fields(), _Field.QueryLanguage]


class Fail(_sdk.Fail):  # type: ignore[misc]
    """A Fail state; takes `error_path` and `cause_path` too."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this state takes."""
        return [*super().allowed_fields(), _Field.ErrorPath, _Field.CausePath]


class _WithResult:
    """A state that takes `result_selector` too."""

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this state takes."""
        fields: list[Enum] = super().allowed_fields()  # type: ignore[misc]
        return [*fields, _Field.ResultSelector]


class Task(_WithResult, _sdk.Task):  # type: ignore[misc]
    """A Task of any resource; takes `result_selector` too, or JSONata's fields.

    Those are `query_language`, `arguments` and `output`.
    """

    def allowed_fields(self) -> list[Enum]:
        """Return the fields that this state takes."""
        return [*super().allowed_fields(), _Field.QueryLanguage, _Field.Arguments, _Field.Output]


class Map(_WithResult, _sdk.Map):  # type: ignore[misc]
    """A Map state; takes `result_selector` too."""


class Parallel(_WithResult, _sdk.Parallel):  # type: ignore[misc]
    """A Parallel state; takes `result_selector` too."""


class _ServiceStep(Task):
    """A service step; takes `partition` (`aws`, `aws-cn`, …) and `result_selector` too."""

    def __init__(
        self, state_id: str, *arguments: Any, partition: str = "aws", **fields: Any
    ) -> None:
        token = _partition.set(partition)
        try:
            super().__init__(state_id, *arguments, **fields)
        finally:
            _partition.reset(token)


class LambdaStep(_ServiceStep, _sdk.LambdaStep):  # type: ignore[misc]
    """Invokes a Lambda function."""


class GlueStartJobRunStep(_ServiceStep, _sdk.GlueStartJobRunStep):  # type: ignore[misc]
    """Runs a Glue job and waits for its end."""


class SnsPublishStep(_ServiceStep, _sdk.SnsPublishStep):  # type: ignore[misc]
    """Publishes a message to a topic."""


# Made on first use, by `__getattr__`.
Execution: Any
Workflow: Any

__all__ = [
    "Catch",
    "Chain",
    "Choice",
    "ChoiceRule",
    "Execution",
    "ExecutionInput",
    "ExecutionStatus",
    "ExecutionsList",
    "Fail",
    "FrozenGraph",
    "GlueStartJobRunStep",
    "Graph",
    "LambdaStep",
    "Map",
    "Parallel",
    "Pass",
    "Retry",
    "SdkExecution",
    "SdkWorkflow",
    "SnsPublishStep",
    "State",
    "StepInput",
    "Succeed",
    "Task",
    "Wait",
    "Workflow",
]


def __getattr__(name: str) -> Any:
    """Return a further step of the SDK, with the arguments that all service steps take here.

    `Workflow` and `Execution` are those that draw themselves without a network.
    """
    if name in {"Execution", "Workflow"}:
        from workflow import state_machine  # noqa: PLC0415  it is made of this module

        return getattr(state_machine, f"Drawn{name}")
    step = getattr(_sdk, name, None)
    if not (inspect.isclass(step) and issubclass(step, _sdk.Task)):
        raise AttributeError(f"module 'workflow.sdk' has no attribute {name!r}")
    members = {"__doc__": step.__doc__, "__module__": __name__}
    globals()[name] = type(name, (_ServiceStep, step), members)
    return globals()[name]


def __dir__() -> list[str]:
    """Return the names of all steps too, without loading those that need SageMaker."""
    steps = {name for name in dir(_sdk) if name.endswith("Step")}
    return sorted({*globals(), *steps})
