"""The graph of a configuration: the packaged workflow, or the one that its own file composes."""

from __future__ import annotations

from workflow.config import Config
from workflow.definition.definition_file import graph_of_file
from workflow.definition.stages import Stages
from workflow.sdk import Graph


def retraining_graph(config: Config) -> Graph:
    """Return the whole workflow; needs no client, region or credentials.

    Raises:
        DefinitionFileError: If the configuration names a file that cannot be used.
        StructureError: If the file's parts do not make one workflow.
    """
    if config.definition_file is not None:
        return graph_of_file(config.definition_file, config)
    return build(config)


def build(config: Config) -> Graph:
    """Return the packaged workflow: its stages, in the order in which they run."""
    stages = Stages(config)
    return stages.compose(
        stages.begin(),
        stages.etl(),
        stages.imports(),
        stages.training(),
        stages.batch_inference(),
        stages.publish(),
    )
