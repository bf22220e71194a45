"""Operations on campaigns and recommenders, which serve requests in real time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from localaws.http.errors import ServiceError
from localaws.personalize.backend import (
    Backend,
    Operations,
    Request,
    Response,
    arn_response,
    check_exploration,
    check_ranking_influence,
)
from localaws.personalize.errors import invalid
from localaws.personalize.resources.jobs import Report
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.types import (
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

Train = Callable[[Resource, Recipe, Report], Response]
"""Trains the model of a recommender; returns members that its resource gets."""


class Campaigns(Operations):
    """Operations on campaigns."""

    def deploy_latest(self, version: Resource) -> None:
        """Deploy a new version in the campaigns that follow the latest one of its solution."""
        arn = version.details["solutionArn"]
        for campaign in self._registry.find(CAMPAIGN, solutionArn=arn):
            if campaign.details["campaignConfig"].get("syncWithLatestSolutionVersion"):
                self._update(campaign, {"solutionVersionArn": version.arn})

    def create_campaign(self, request: Request) -> Response:
        config = request.get("campaignConfig", {})
        with self._registry.lock:
            version = self._version(request["solutionVersionArn"], config)
            _check_config(version, config)
            campaign = self._registry.create(
                CAMPAIGN,
                request["name"],
                {"minProvisionedTPS": 1, **request},
                solutionVersionArn=version.arn,
                solutionArn=version.details["solutionArn"],
                datasetGroupArn=version.details["datasetGroupArn"],
                campaignConfig=config,
            )
        self._backend.workers.activate(campaign.arn)
        return arn_response(campaign)

    def update_campaign(self, request: Request) -> Response:
        with self._registry.lock:
            campaign = self._registry.active(request["campaignArn"], CAMPAIGN)
            members = {name: value for name, value in request.items() if name != "campaignArn"}
            if not members:
                raise invalid(
                    "nothing to update; give solutionVersionArn, minProvisionedTPS or"
                    " campaignConfig"
                )
            config = members.get("campaignConfig", campaign.details["campaignConfig"])
            if "solutionVersionArn" in members:
                version = self._version(members["solutionVersionArn"], config)
                if version.details["solutionArn"] != campaign.details["solutionArn"]:
                    raise invalid(
                        f"{version.arn} is a version of another solution than"
                        f" {campaign.details['solutionArn']}; create another campaign"
                    )
                members["solutionVersionArn"] = version.arn
            else:
                version = self._registry.get(campaign.details["solutionVersionArn"])
            _check_config(version, config)
            self._update(campaign, members)
        return arn_response(campaign)

    def _update(self, campaign: Resource, members: Mapping[str, Any]) -> None:
        """Begin an update; until it is ACTIVE, the campaign serves as before."""
        names = ("solutionVersionArn", "minProvisionedTPS", "campaignConfig")
        after = {name: members.get(name, campaign.details[name]) for name in names}
        self._backend.workers.update(campaign.arn, "latestCampaignUpdate", after, **after)

    def _version(self, arn: str, config: Mapping[str, Any]) -> Resource:
        """Return the version to deploy; of a solution's `$LATEST` the newest ACTIVE one."""
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


def _check_config(version: Resource, config: Mapping[str, Any]) -> None:
    check_exploration("campaignConfig", config)
    recipe = find_recipe(version.details["recipeArn"])
    check_ranking_influence("campaignConfig", config, recipe)


class Recommenders(Operations):
    """Operations on recommenders, the use cases of domain dataset groups.

    Args:
        train: Trains their models.
    """

    def __init__(self, backend: Backend, train: Train) -> None:
        super().__init__(backend)
        self._train = train

    def create_recommender(self, request: Request) -> Response:
        config = request.get("recommenderConfig", {})
        check_exploration("recommenderConfig", config)
        with self._registry.lock:
            group = self._registry.get(request["datasetGroupArn"], DATASET_GROUP)
            try:
                recipe = recommender_recipe(request, group.details.get("domain"))
            except ValueError as error:
                raise invalid(f"recipeArn: {error}") from error
            recommender = self._registry.create(
                RECOMMENDER,
                request["name"],
                request,
                recommenderConfig={"minRecommendationRequestsPerSecond": 1, **config},
                trainedUpTo=self._backend.store.changes,
            )
        work = partial(self._train, recommender, recipe)
        self._backend.workers.submit(recommender, "training", work)
        return arn_response(recommender)

    def update_recommender(self, request: Request) -> Response:
        config = request["recommenderConfig"]
        check_exploration("recommenderConfig", config)
        if config.get("trainingDataConfig"):
            # It would have to be trained anew; a new recommender does that too.
            raise invalid(
                "trainingDataConfig: not supported by this local Personalize; leave it out"
            )
        with self._registry.lock:
            recommender = self._registry.active(request["recommenderArn"], RECOMMENDER)
            after = {"recommenderConfig": {**recommender.details["recommenderConfig"], **config}}
            self._backend.workers.update(recommender.arn, "latestRecommenderUpdate", after, **after)
        return arn_response(recommender)

    def start_recommender(self, request: Request) -> Response:
        return self._switch(request, "INACTIVE", "START", "ACTIVE")

    def stop_recommender(self, request: Request) -> Response:
        return self._switch(request, "ACTIVE", "STOP", "INACTIVE")

    def _switch(self, request: Request, before: str, verb: str, after: str) -> Response:
        with self._registry.lock:
            recommender = self._registry.get(request["recommenderArn"], RECOMMENDER)
            if recommender.status != before:
                raise ServiceError(
                    "ResourceInUseException",
                    f"{recommender.arn} is {recommender.status}; it must be {before}.",
                )
            self._registry.update(recommender.arn, status=f"{verb} PENDING")
        self._backend.workers.activate(recommender.arn, f"{verb} IN_PROGRESS", after)
        return arn_response(recommender)
