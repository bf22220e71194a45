"""The graph of a configuration: the packaged workflow, or the one that its own file composes."""

from __future__ import annotations

from collections.abc import Callable

from workflow.config import Config
from workflow.definition.definition_file import graph_of_file
from workflow.definition.stage import Stage
from workflow.definition.stages import Stages
from workflow.errors import StructureError
from workflow.options.models import BEST
from workflow.sdk import Graph

_ALWAYS = "whatever the configuration says"


def retraining_graph(config: Config) -> Graph:
    """Return the whole workflow; needs no client, region or credentials.

    Raises:
        DefinitionFileError: If the configuration names a file that cannot be used.
        StructureError: If the file's parts do not make one workflow.
    """
    if config.definition_file is not None:
        return graph_of_file(config.definition_file, config)
    return build(config)


def _check_used(config: Config) -> None:
    used = config.compared or (config.publish.model,)
    if unused := [name for name in config.models if name not in used]:
        raise StructureError(
            [
                f"nothing trains [models.{unused[0]}]: the list of another one is published; write"
                f' from = "{unused[0]}" or "{BEST}" in [publish], compose its stages in'
                " workflow.definition, or leave it out"
            ]
        )


def build(config: Config) -> Graph:
    """Return the packaged workflow: its stages, in the order in which they run.

    A stage that belongs to a table of the configuration is left out with it.

    Raises:
        StructureError: If no stage trains one of the models.
    """
    _check_used(config)
    stages, own = Stages(config), config.publish.model
    is_best = bool(config.compared)
    imported = not own and not is_best
    one = imported and not config.recommenders
    parts: tuple[tuple[object, Callable[[], Stage]], ...] = (
        (_ALWAYS, stages.begin),
        (config.increments, stages.plan_increment),
        (_ALWAYS, stages.etl),
        (imported, stages.imports),
        (one, stages.training),
        (one and config.gate, stages.quality_gate),
        (one, stages.batch_inference),
        (own, lambda: stages.own_training(own)),
        (own, lambda: stages.own_inference(own)),
        (is_best, stages.best),
        (not config.recommenders, stages.publish),
        (config.recommenders, stages.recommenders),
        (config.campaigns, stages.campaigns),
        (config.delivery, stages.deliver),
        (config.retention, stages.clean_up),
        (config.recommenders, stages.all_published),
    )
    return stages.compose(*(stage() for table, stage in parts if table))
