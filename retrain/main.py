"""The list of commands; an error becomes a message and an exit code here and nowhere else."""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from localaws.errors import LocalAwsError
from retrain.commands import definition, deployment, local, project, publications, retention, runs
from retrain.commands.options import err
from retrain.stopping import exit_code, stop_on_signals
from workflow.errors import WorkflowError

_OWN_PACKAGES = {"retrain", "workflow", "etl", "lambdas", "recommenders", "localaws", "analysis"}
# Of errors, where 1 means something else: `diff` ends with 1 if there is a difference.
_EXIT_CODES = {"diff": 2}


class OneMessage(TyperGroup):
    """A group of commands whose errors are one message, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except (WorkflowError, LocalAwsError) as error:
            text = str(error)
        except (BotoCoreError, ClientError) as error:
            from workflow.deployment.account import explain_error  # noqa: PLC0415  boto3 costs time

            text = explain_error(error, "", "the workflow")
        except ImportError as error:
            missing = _missing_package(error)
            if not missing or missing in _OWN_PACKAGES:
                raise
            text = (
                f"this command needs the package '{missing}', which the base installation"
                " leaves out; run pip install 'personalize-retraining[local]'"
            )
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of the output has closed it
                raise
            text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        if stopped := exit_code():  # an error while it unwinds says nothing new
            raise SystemExit(stopped)
        err.print(escape(text), style="red")
        raise typer.Exit(_EXIT_CODES.get(ctx.invoked_subcommand, 1))


def _missing_package(error: ImportError) -> str:
    """Return the package that an import did not find; empty if it found all.

    Python hides it where one of ours is read lazily: it says that ours lacks a name.
    """
    if not isinstance(error, ModuleNotFoundError) and error.name in _OWN_PACKAGES:
        sys.modules.pop(error.name, None)
        try:
            import_module(error.name)
        except ModuleNotFoundError as hidden:
            error = hidden
    missing = error.name if isinstance(error, ModuleNotFoundError) else ""
    return (missing or "").partition(".")[0]


class AsWritten(TyperCommand):
    """A command whose help is shown as it is written: `[retention]` is a table, and no markup."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.help = _as_written(self.help)
        for parameter in self.params:
            if isinstance(parameter, TyperOption | TyperArgument):
                parameter.help = _as_written(parameter.help)


def _as_written(text: str | None) -> str:
    """Return a text without markup; each paragraph is a line, which the terminal breaks."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return escape("\n\n".join(" ".join(each.split()) for each in paragraphs))


_TOUR = """Keep Amazon Personalize recommendations fresh: database → data sets → training → CSV.

See it run on this machine:  [bold]retrain local run[/]

Let it describe your own tables:  [bold]retrain init[/], then [bold]retrain preview[/]

Change retraining.toml, then:  [bold]retrain check[/], [bold]retrain render[/]

Bring it to AWS:  [bold]retrain plan[/], [bold]retrain deploy[/], [bold]retrain start --wait[/]

When a run fails:  [bold]retrain explain[/], [bold]retrain resume[/]
"""

app = typer.Typer(
    cls=OneMessage,
    help=_TOUR,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Begin": (project.init, project.preview, project.notebooks),
    "Write and review": (definition.check, definition.render, definition.template, definition.diff),
    "Deploy": (deployment.plan, deployment.deploy, deployment.destroy, deployment.permissions),
    "Run": (
        runs.start,
        runs.resume,
        runs.watch,
        runs.executions,
        runs.stop,
        runs.explain,
        runs.report,
        runs.cost,
        publications.published,
        publications.publish,
        retention.clean,
    ),
}
for _panel, _commands in _COMMANDS.items():
    for _command in _commands:
        app.command(cls=AsWritten, rich_help_panel=_panel)(_command)

_local = typer.Typer(help="Everything on this machine, with no AWS account.", no_args_is_help=True)
_local.command("run", cls=AsWritten)(local.run)
_local.command("serve", cls=AsWritten)(local.serve)
_local.command("load-sample", cls=AsWritten)(local.load_sample)
app.add_typer(_local, name="local", rich_help_panel="Try")


def main() -> None:
    """Run the command; an error is one message and exit code 1.

    SIGINT, SIGTERM and SIGHUP end it with 128 + their number, and nothing left running.
    """
    stop_on_signals()
    app()
