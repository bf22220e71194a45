"""The runtime API: recommendations, rankings and actions in real time.

https://docs.aws.amazon.com/personalize/latest/dg/getting-real-time-recommendations.html
A user's events since the training change the next recommendations of that user. Scores come with
recipes of USER_PERSONALIZATION, PERSONALIZED_RANKING and PERSONALIZED_ACTIONS, as on AWS; `context`
is checked and changes nothing: the models here learn nothing from it. New items are explored if the
campaign's `itemExplorationConfig` says so; without it the recommendations are the same each time,
where AWS explores with a weight of 0.3.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.backend import (
    Operations,
    Request,
    Response,
    exploration,
    ranking_influence,
)
from localaws.personalize.errors import invalid
from localaws.personalize.resources.recommendation_ids import recommendation_id
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.types import (
    CAMPAIGN,
    DATASET,
    RECOMMENDER,
    SOLUTION_VERSION,
)
from localaws.personalize.training.recipe import Recipe
from localaws.personalize.training.recipes import find_recipe
from recommenders import Eligible, Event, Recommendations, Recommender, Related

_OTHER_OPERATIONS = {
    "PERSONALIZED_RANKING": "GetPersonalizedRanking",
    "PERSONALIZED_ACTIONS": "GetActionRecommendations",
}
_DEFAULT_RESULTS = 25
_DEFAULT_ACTIONS = 5
Mask = NDArray[np.bool_]
Scored = tuple[str, float]


class _Deployment(NamedTuple):
    """A campaign or recommender, and its model.

    Attributes:
        source: The campaign or recommender.
        trained: The resource that has the model: a solution version, or the recommender itself.
        config: The campaign's or recommender's configuration.
        recipe: The model's recipe.
        model: The model.
    """

    source: Resource
    trained: Resource
    config: Mapping[str, Any]
    recipe: Recipe
    model: Recommender

    @property
    def group_arn(self) -> str:
        """The dataset group."""
        return str(self.trained.details["datasetGroupArn"])

    def known(self, user: str) -> str:
        """Return a user as the model shall see it: one who was deleted is unknown."""
        return "" if user in self.trained.details.get("deletedUsers", ()) else user


class Runtime(Operations):
    """The operations of the runtime API."""

    def get_recommendations(self, request: Request) -> Response:
        deployment = self._deployment(request)
        source, recipe = deployment.source, deployment.recipe
        columns = self._columns(request, deployment)
        quotas = self._registry.quotas
        most = quotas.results_with_metadata if columns else quotas.results
        n = _n_results(request, _DEFAULT_RESULTS, most)
        if operation := _OTHER_OPERATIONS.get(recipe.type):
            raise invalid(f"{source.arn} is of type {recipe.type}; call {operation}")
        for member in recipe.needs:
            if not request.get(member):
                raise invalid(f"{member} is missing; {recipe.name} needs it")
        unseen = self._unseen(request, deployment)
        mask = _and(self._filter_mask(request, deployment, request), unseen)
        results = self._recommend(request, deployment, n, mask)
        promoted: dict[str, str] = {}
        for promotion in request.get("promotions", ()):
            results, promoted = self._promote(request, deployment, promotion, results, n, unseen)
        items = self._item_list(results, deployment, columns, promoted)
        return {"itemList": items, "recommendationId": recommendation_id(source)}

    def get_personalized_ranking(self, request: Request) -> Response:
        deployment = self._deployment(request)
        _check_type(deployment, "PERSONALIZED_RANKING", "a ranking needs")
        columns = self._columns(request, deployment)
        items = request["inputList"]
        quotas = self._registry.quotas
        most = quotas.results_with_metadata if columns else quotas.ranked
        if not 1 <= len(items) <= most:
            raise invalid(f"inputList: {len(items)} items; 1 to {most} can be ranked")
        mask = self._filter_mask(request, deployment, request)
        user, model = deployment.known(request["userId"]), deployment.model
        (ranking,) = model.rank(
            [user],
            [items],
            live_events={user: self._live_events(deployment, request["userId"])},
            boosts=ranking_influence(deployment.config, model),
        )
        results = list(zip(ranking.items, map(float, ranking.scores), strict=True))
        if mask is not None:
            positions = model.positions(ranking.items)
            kept = (positions >= 0) & mask[positions]
            results = [result for result, is_kept in zip(results, kept, strict=True) if is_kept]
        return {
            "personalizedRanking": self._item_list(results, deployment, columns, {}),
            "recommendationId": recommendation_id(deployment.source),
        }

    def get_action_recommendations(self, request: Request) -> Response:
        if "campaignArn" not in request:
            raise invalid("campaignArn is missing; name a campaign")
        if "userId" not in request:
            raise invalid("userId is missing; name the user")
        deployment = self._deployment(request)
        _check_type(deployment, "PERSONALIZED_ACTIONS", "actions need")
        n = _n_results(request, _DEFAULT_ACTIONS, self._registry.quotas.actions)
        mask = self._filter_mask(request, deployment, request)
        results = self._recommend(request, deployment, n, mask)
        return {
            "actionList": [{"actionId": action, "score": score} for action, score in results],
            "recommendationId": recommendation_id(deployment.source),
        }

    def _deployment(self, request: Request) -> _Deployment:
        """Return the campaign or recommender that a request names."""
        types = [type_ for type_ in (CAMPAIGN, RECOMMENDER) if type_.arn_member in request]
        if len(types) != 1:
            raise invalid("name either a campaignArn or a recommenderArn")
        (type_,) = types
        source = trained = self._registry.active(request[type_.arn_member], type_)
        if type_ is CAMPAIGN:
            trained = self._registry.get(source.details["solutionVersionArn"], SOLUTION_VERSION)
        recipe = find_recipe(trained.details["recipeArn"])
        config = source.details[f"{type_.member}Config"]
        return _Deployment(source, trained, config, recipe, self._backend.models.load(trained.arn))

    def _recommend(
        self, request: Request, deployment: _Deployment, n: int, mask: Mask | None
    ) -> list[Scored]:
        """Return the best items, each with its score."""
        block: Recommendations | Related
        model, config = deployment.model, deployment.config
        if deployment.recipe.type == "RELATED_ITEMS":
            (block,) = model.similar(
                [request["itemId"]],
                n,
                eligible=_constant(mask),
                boosts=ranking_influence(config, model),
            )
        else:
            user = request.get("userId", "")
            known = deployment.known(user)
            (block,) = model.recommend(
                [known],
                n,
                eligible=_constant(mask),
                live_events={known: self._live_events(deployment, user)},
                exploration=exploration(config, deployment.recipe, self._backend.seed),
                boosts=ranking_influence(config, model),
            )
        count = int(block.counts[0])
        scores = map(float, block.scores[0, :count])
        return list(zip(block.items[0, :count].tolist(), scores, strict=True))

    def _unseen(self, request: Request, deployment: _Deployment) -> Mask | None:
        """Return the items that a use case may recommend to a user again; None if all.

        https://docs.aws.amazon.com/personalize/latest/dg/ECOMMERCE-use-cases.html
        """
        user, hides = request.get("userId"), deployment.recipe.hides
        if not user or hides is None:
            return None
        tables = self._backend.groups.tables(deployment.group_arn, {"INTERACTIONS"})
        if "INTERACTIONS" not in tables:
            return None
        events = tables["INTERACTIONS"]
        rows = np.flatnonzero(events.column("USER_ID") == user)
        types, items = (events.column(name)[rows] for name in ("EVENT_TYPE", "ITEM_ID"))
        seen = [
            item
            for type_, item in zip(types, items, strict=True)
            if type_ is not None and type_.casefold() == hides.casefold()
        ]
        mask = np.ones(len(deployment.model.item_ids), np.bool_)
        positions = deployment.model.positions(seen)
        mask[positions[positions >= 0]] = False
        return mask

    def _filter_mask(
        self, request: Request, deployment: _Deployment, owner: Request
    ) -> Mask | None:
        """Return the items that the filter of its `owner` (the request or a promotion) leaves."""
        if "filterArn" not in owner:
            if owner.get("filterValues"):
                raise invalid("filterValues: the request has no filter; name a filterArn")
            return None
        eligibility = self._backend.filters.eligibility(
            owner["filterArn"],
            deployment.group_arn,
            deployment.recipe.type,
            deployment.model.item_ids,
        )
        try:
            values = eligibility.filter.bind(owner.get("filterValues", {}))
        except ValueError as error:
            raise invalid(str(error)) from error
        return eligibility.mask(request.get("userId", ""), values, request.get("itemId", ""))

    def _promote(
        self,
        request: Request,
        deployment: _Deployment,
        promotion: Request,
        results: Sequence[Scored],
        n: int,
        unseen: Mask | None,
    ) -> tuple[list[Scored], dict[str, str]]:
        """Return results of which a share is promoted, and the promotion's name by promoted item.

        The promotion's filter applies to them alone, and the request's to the others alone. Ranks
        are chosen at random; promoted items keep their order among themselves, and so do the
        others: https://docs.aws.amazon.com/personalize/latest/dg/promoting-items.html
        """
        if "filterArn" not in promotion or "percentPromotedItems" not in promotion:
            raise invalid("promotions: each needs a filterArn and percentPromotedItems")
        mask = _and(self._filter_mask(request, deployment, promotion), unseen)
        n_promoted = round(n * promotion["percentPromotedItems"] / 100)
        promoted = self._recommend(request, deployment, n_promoted, mask) if n_promoted else []
        items = {item for item, _ in promoted}
        others = [result for result in results if result[0] not in items][: n - len(promoted)]
        # Stable for a user and an item, so that the same request has the same response.
        text = f"{request.get('userId', '')} {request.get('itemId', '')} {self._backend.seed}"
        random = np.random.default_rng(zlib.crc32(text.encode()))
        total = len(promoted) + len(others)
        ranks = set(random.choice(total, len(promoted), replace=False).tolist())
        first, second = iter(promoted), iter(others)
        mixed = [next(first if rank in ranks else second) for rank in range(total)]
        return mixed, dict.fromkeys(items, str(promotion.get("name", "")))

    def _live_events(self, deployment: _Deployment, user: str) -> list[Event]:
        """Return the user's events since the training; none where the recipe does not use them."""
        if not deployment.recipe.live or not user:
            return []
        ids = {"INTERACTIONS": "ITEM_ID"}
        if deployment.recipe.type == "PERSONALIZED_ACTIONS":
            ids["ACTION_INTERACTIONS"] = "ACTION_ID"
        live: list[Event] = []
        for dataset in self._registry.find(DATASET, datasetGroupArn=deployment.group_arn):
            id_column = ids.get(dataset.details["datasetType"])
            if id_column is None:
                continue
            after = deployment.trained.details["trainedUpTo"]
            events = self._backend.store.streamed(dataset.arn, after=after)
            if events is None:
                continue
            rows = np.flatnonzero(events.column("USER_ID") == user)
            columns = [events.column(name)[rows] for name in (id_column, "EVENT_TYPE", "TIMESTAMP")]
            live += [
                Event(id_, type_, int(time)) for id_, type_, time in zip(*columns, strict=True)
            ]
        return live

    def _columns(self, request: Request, deployment: _Deployment) -> dict[str, str]:
        """Return the columns of Items of the response: as in the request → as in the schema."""
        requested = request.get("metadataColumns", {})
        if not requested:
            return {}
        if not deployment.config.get("enableMetadataWithRecommendations"):
            raise invalid(
                f"metadataColumns: {deployment.source.arn} has enableMetadataWithRecommendations"
                " off; update it first"
            )
        (dataset, columns), *_ = requested.items()
        schema = self._backend.groups.schemas(deployment.group_arn).get("ITEMS")
        if dataset.upper() != "ITEMS" or schema is None:
            raise invalid('metadataColumns: of the form {"ITEMS": ["TITLE"]}, of an Items dataset')
        most = self._registry.quotas.metadata_columns
        if not 1 <= len(columns) <= most:
            raise invalid(f"metadataColumns: {len(columns)} columns; 1 to {most} may be requested")
        names = {field.name.upper(): field.name for field in schema.fields}
        if unknown := [column for column in columns if column.upper() not in names]:
            raise invalid(
                f"metadataColumns: Items has no {', '.join(unknown)}; it has"
                f" {', '.join(names.values())}"
            )
        return {column: names[column.upper()] for column in columns}

    def _item_list(
        self,
        results: Sequence[Scored],
        deployment: _Deployment,
        columns: Mapping[str, str],
        promoted: Mapping[str, str],
    ) -> list[dict[str, Any]]:
        """Return the items of a response, with the columns of Items as they are now; no nulls."""
        table = None
        if columns:
            table = self._backend.groups.tables(deployment.group_arn, {"ITEMS"}).get("ITEMS")
        values = {shown: table.column(name) for shown, name in columns.items()} if table else {}
        items = {item for item, _ in results}
        metadata = {
            item: {
                shown: str(column[row])
                for shown, column in values.items()
                if column[row] is not None
            }
            for row, item in enumerate(table.column("ITEM_ID") if table else ())
            if item in items
        }
        return [
            {
                "itemId": item,
                "score": score if deployment.recipe.live else None,
                "promotionName": promoted.get(item) or None,
                "metadata": metadata.get(item, {}) if columns else None,
            }
            for item, score in results
        ]


def _check_type(deployment: _Deployment, type_: str, need: str) -> None:
    """Refuse a deployment of another type of recipe."""
    if deployment.recipe.type != type_:
        arn = deployment.source.arn
        raise invalid(f"{arn} is of type {deployment.recipe.type}; {need} {type_}")


def _n_results(request: Request, default: int, most: int) -> int:
    n = request.get("numResults") or default
    if n > most:
        raise invalid(f"numResults must be in [1, {most}], not {n}")
    return int(n)


def _constant(mask: Mask | None) -> Eligible | None:
    """Return the mask as that of the one user or item of a request."""
    return None if mask is None else lambda start, stop: mask[np.newaxis].copy()


def _and(first: Mask | None, second: Mask | None) -> Mask | None:
    """Return the items that both leave; None leaves all."""
    if first is None or second is None:
        return second if first is None else first
    return first & second
