"""Operations on campaigns and recommenders: what answers requests in real time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from localaws.http.errors import ServiceError
from localaws.personalize.backend import (
    Answer,
    Parts,
    Request,
    check_inference_config,
    check_influence,
    created,
    invalid,
    refuse,
)
from localaws.personalize.resources.jobs import Report
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import (
    CAMPAIGN,
    DATASET_GROUP,
    RECOMMENDER,
    SOLUTION,
    SOLUTION_VERSION,
)
from localaws.personalize.training.recipe import Recipe
from localaws.personalize.training.recipes import find_recipe
from localaws.personalize.training.solution_config import recommender_recipe

_LATEST = "/$LATEST"

Train = Callable[[Resource, Recipe, Report], Answer]
"""Trains the model of a recommender; returns members that its resource gets."""


class Campaigns:
    """Operations on campaigns.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry

    def trained(self, version: Resource) -> None:
        """Deploy a new version in the campaigns that follow the latest one of its solution."""
        arn = version.details["solutionArn"]
        for campaign in self._registry.find(CAMPAIGN, solutionArn=arn):
            if campaign.details["campaignConfig"].get("syncWithLatestSolutionVersion"):
                self._begin_update(campaign, {"solutionVersionArn": version.arn})

    def create_campaign(self, request: Request) -> Answer:
        config = request.get("campaignConfig", {})
        check_inference_config("campaignConfig", config)
        with self._registry.lock:
            version = self._version(request["solutionVersionArn"], config)
            self._check_influence(version, config)
            campaign = self._registry.create(
                CAMPAIGN,
                request["name"],
                {"minProvisionedTPS": 1, **request},
                solutionVersionArn=version.arn,
                solutionArn=version.details["solutionArn"],
                datasetGroupArn=version.details["datasetGroupArn"],
                campaignConfig=config,
            )
        self._parts.workers.activate(campaign.arn)
        return created(campaign)

    def update_campaign(self, request: Request) -> Answer:
        with self._registry.lock:
            campaign = self._registry.active(request["campaignArn"], CAMPAIGN)
            members = {name: value for name, value in request.items() if name != "campaignArn"}
            if not members:
                raise invalid(
                    "nothing to update; give solutionVersionArn, minProvisionedTPS or"
                    " campaignConfig"
                )
            config = members.get("campaignConfig", campaign.details["campaignConfig"])
            check_inference_config("campaignConfig", config)
            if "solutionVersionArn" in members:
                version = self._version(members["solutionVersionArn"], config)
                if version.details["solutionArn"] != campaign.details["solutionArn"]:
                    raise invalid(
                        f"{version.arn} is a version of another solution than"
                        f" {campaign.details['solutionArn']}; create another campaign"
                    )
                members["solutionVersionArn"] = version.arn
            arn = members.get("solutionVersionArn", campaign.details["solutionVersionArn"])
            self._check_influence(self._registry.get(arn, SOLUTION_VERSION), config)
            self._begin_update(campaign, members)
        return created(campaign)

    def _begin_update(self, campaign: Resource, members: Mapping[str, Any]) -> None:
        """Until the update is ACTIVE, the campaign answers as before."""
        shown = ("solutionVersionArn", "minProvisionedTPS", "campaignConfig")
        after = {name: members.get(name, campaign.details[name]) for name in shown}
        update = self._parts.update_begun(**after)
        self._registry.update(campaign.arn, latestCampaignUpdate=update)
        self._parts.workers.activate_update(campaign.arn, "latestCampaignUpdate", **after)

    @staticmethod
    def _check_influence(version: Resource, config: Mapping[str, Any]) -> None:
        check_influence("campaignConfig", config, find_recipe(version.details["recipeArn"]))

    def _version(self, arn: str, config: Mapping[str, Any]) -> Resource:
        """The version to deploy; the newest ACTIVE one of a solution's ``$LATEST``."""
        if arn.endswith(_LATEST):
            if not config.get("syncWithLatestSolutionVersion"):
                raise invalid(
                    f"{arn} needs campaignConfig.syncWithLatestSolutionVersion true; or name one"
                    " version"
                )
            solution = self._registry.active(arn.removesuffix(_LATEST), SOLUTION)
            versions = self._registry.find(
                SOLUTION_VERSION, solutionArn=solution.arn, status="ACTIVE"
            )
            if not versions:
                raise ServiceError(
                    "ResourceNotFoundException",
                    f"{solution.arn} has no ACTIVE version; train one first.",
                )
            version = versions[-1]
        else:
            version = self._registry.active(arn, SOLUTION_VERSION)
        if find_recipe(version.details["recipeArn"]).segments:
            raise invalid(f"{version.arn} gives segments of users; create a batch segment job")
        return version


class Recommenders:
    """Operations on recommenders, the use cases of domain dataset groups.

    Args:
        parts: What all operations share.
        train: Trains their models.
    """

    def __init__(self, parts: Parts, train: Train) -> None:
        self._parts = parts
        self._registry = parts.registry
        self._train = train

    def create_recommender(self, request: Request) -> Answer:
        config = request.get("recommenderConfig", {})
        check_inference_config("recommenderConfig", config)
        with self._registry.lock:
            group = self._registry.get(request["datasetGroupArn"], DATASET_GROUP)
            try:
                recipe = recommender_recipe(request, group.details.get("domain"))
            except ValueError as error:
                raise invalid(f"recipeArn: {error}") from error
            snapshot = self._parts.store.changes
            recommender = self._registry.create(
                RECOMMENDER,
                request["name"],
                request,
                recommenderConfig={"minRecommendationRequestsPerSecond": 1, **config},
                trainedUpTo=snapshot,
            )
        work = partial(self._train, recommender, recipe)
        self._parts.workers.submit(recommender.arn, "training", work)
        return created(recommender)

    def update_recommender(self, request: Request) -> Answer:
        config = request["recommenderConfig"]
        check_inference_config("recommenderConfig", config)
        # It would have to be trained anew; a new recommender does that too.
        refuse(config, "trainingDataConfig")
        with self._registry.lock:
            recommender = self._registry.active(request["recommenderArn"], RECOMMENDER)
            after = {**recommender.details["recommenderConfig"], **config}
            update = self._parts.update_begun(recommenderConfig=after)
            self._registry.update(recommender.arn, latestRecommenderUpdate=update)
            self._parts.workers.activate_update(
                recommender.arn, "latestRecommenderUpdate", recommenderConfig=after
            )
        return created(recommender)

    def start_recommender(self, request: Request) -> Answer:
        return self._switch(request, "INACTIVE", "START", "ACTIVE")

    def stop_recommender(self, request: Request) -> Answer:
        return self._switch(request, "ACTIVE", "STOP", "INACTIVE")

    def _switch(self, request: Request, before: str, verb: str, after: str) -> Answer:
        with self._registry.lock:
            recommender = self._registry.get(request["recommenderArn"], RECOMMENDER)
            if recommender.status != before:
                raise ServiceError(
                    "ResourceInUseException",
                    f"{recommender.arn} is {recommender.status}; it must be {before}.",
                )
            self._registry.update(recommender.arn, status=f"{verb} PENDING")
        self._parts.workers.activate(recommender.arn, f"{verb} IN_PROGRESS", after)
        return created(recommender)
