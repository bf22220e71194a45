"""What damaged files mean for resources: what needs them has failed, with that reason."""

from __future__ import annotations

import logging

from localaws.personalize.backend import Backend
from localaws.personalize.resources.registry import Registry, Resource
from localaws.personalize.resources.types import (
    CAMPAIGN,
    DATASET_IMPORT_JOB,
    RECOMMENDER,
    SOLUTION_VERSION,
)
from localaws.personalize.training.solution_version import check_saved

_USABLE = frozenset({"ACTIVE", "INACTIVE"})

_log = logging.getLogger(__name__)


def mark_damaged(backend: Backend) -> None:
    """Mark import jobs, solution versions, recommenders and campaigns whose files are damaged."""
    registry = backend.registry
    for arn, reason in backend.store.damage.items():
        _log.warning("the rows of %s cannot be read: %s", arn, reason)
        for job in registry.find(DATASET_IMPORT_JOB, datasetArn=arn):
            _fail(registry, job, reason)
    for trained in (*registry.find(SOLUTION_VERSION), *registry.find(RECOMMENDER)):
        if trained.status not in _USABLE:
            continue
        directory = backend.models.directory_of(trained.arn)
        try:
            check_saved(directory)
        except Exception as error:  # whatever damage leads to
            reason = f"{directory} is damaged: {type(error).__name__}: {error}; train it again"
            _log.warning("%s cannot be used: %s", trained.arn, reason)
            _fail(registry, trained, reason)
            for campaign in registry.find(CAMPAIGN, solutionVersionArn=trained.arn):
                _fail(registry, campaign, reason)


def _fail(registry: Registry, resource: Resource, reason: str) -> None:
    if resource.status in _USABLE:
        registry.update(resource.arn, status="CREATE FAILED", failureReason=reason)
