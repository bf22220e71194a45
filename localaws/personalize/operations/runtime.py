"""The runtime API: recommendations, rankings and actions in real time.

https://docs.aws.amazon.com/personalize/latest/dg/getting-real-time-recommendations.html
A user's events since the training shift the next answer of that user. Scores come with recipes of
USER_PERSONALIZATION, PERSONALIZED_RANKING and PERSONALIZED_ACTIONS, as on AWS; ``context`` is
checked and does not change the answer: the models here learn nothing from it. New items are
explored if the campaign's ``itemExplorationConfig`` says so; without it the answer is the same
each time, where AWS explores with a weight of 0.3.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localaws.personalize.backend import Answer, Parts, Request, exploration, influence, invalid
from localaws.personalize.filters import Values
from localaws.personalize.resources.recommendation_ids import recommendation_id
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import (
    CAMPAIGN,
    DATASET,
    RECOMMENDER,
    SOLUTION_VERSION,
    Kind,
)
from localaws.personalize.training.recipe import Recipe
from localaws.personalize.training.recipes import find_recipe
from recommenders import Eligible, Event, Recommendations, Recommender, Related

_WITH_SCORES = frozenset({"USER_PERSONALIZATION", "PERSONALIZED_RANKING", "PERSONALIZED_ACTIONS"})
_ELSEWHERE = {
    "PERSONALIZED_RANKING": "GetPersonalizedRanking",
    "PERSONALIZED_ACTIONS": "GetActionRecommendations",
}
_DEFAULT_RESULTS = 25
_DEFAULT_ACTIONS = 5
Mask = NDArray[np.bool_]
Scored = tuple[str, float]


@dataclass(frozen=True)
class _Deployment:
    """What a request is answered by.

    Args:
        source: The campaign or recommender.
        trained: What has the model: a solution version, or the recommender itself.
        config: The campaign's or recommender's configuration.
        recipe: What it was trained by.
        model: The model.
    """

    source: Resource
    trained: Resource
    config: Mapping[str, Any]
    recipe: Recipe
    model: Recommender

    @property
    def type(self) -> str:
        """The recipe's type."""
        return self.recipe.type

    @property
    def group(self) -> str:
        """The dataset group's ARN."""
        return str(self.trained.details["datasetGroupArn"])


class Runtime:
    """The operations of the runtime API.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry
        self._quotas = parts.registry.quotas

    def get_recommendations(self, request: Request) -> Answer:
        asked = self._asked(request)
        columns = self._columns(request, asked)
        most = self._quotas.results_with_metadata if columns else self._quotas.results
        n = _results(request, _DEFAULT_RESULTS, most)
        if operation := _ELSEWHERE.get(asked.type):
            raise invalid(f"{asked.source.arn} is of type {asked.type}; call {operation}")
        for member in asked.recipe.needs:
            if not request.get(member):
                raise invalid(f"{member} is missing; {asked.recipe.name} needs it")
        unseen = self._unseen(request, asked)
        found = self._found(request, asked, n, _both(self._mask(request, asked, request), unseen))
        named: dict[str, str] = {}
        for promotion in request.get("promotions", ()):
            found, named = self._promoted(request, asked, promotion, found, n, unseen)
        items = self._shown(found, asked, columns, named)
        return {"itemList": items, "recommendationId": recommendation_id(asked.source)}

    def get_personalized_ranking(self, request: Request) -> Answer:
        asked = self._asked(request)
        if asked.type != "PERSONALIZED_RANKING":
            raise invalid(
                f"{asked.source.arn} is of type {asked.type}; a ranking needs PERSONALIZED_RANKING"
            )
        columns = self._columns(request, asked)
        given = request["inputList"]
        most = self._quotas.results_with_metadata if columns else self._quotas.ranked
        if not 1 <= len(given) <= most:
            raise invalid(f"inputList: {len(given)} items; 1 to {most} can be ranked")
        may = self._mask(request, asked, request)
        user = self._known(asked, request["userId"])
        live = self._live(asked, request["userId"])
        tilt = influence(asked.config, asked.model)
        (ranking,) = asked.model.rank([user], [given], live_events={user: live}, boosts=tilt)
        found = list(zip(ranking.items, map(float, ranking.scores), strict=True))
        if may is not None:
            places = asked.model.positions(ranking.items)
            kept = (places >= 0) & may[places]
            found = [one for one, keep in zip(found, kept, strict=True) if keep]
        items = self._shown(found, asked, columns, {})
        return {"personalizedRanking": items, "recommendationId": recommendation_id(asked.source)}

    def get_action_recommendations(self, request: Request) -> Answer:
        if "campaignArn" not in request:
            raise invalid("campaignArn is missing; name a campaign")
        if "userId" not in request:
            raise invalid("userId is missing; name the user")
        asked = self._asked(request)
        if asked.type != "PERSONALIZED_ACTIONS":
            raise invalid(
                f"{asked.source.arn} is of type {asked.type}; actions need PERSONALIZED_ACTIONS"
            )
        n = _results(request, _DEFAULT_ACTIONS, self._quotas.actions)
        found = self._found(request, asked, n, self._mask(request, asked, request))
        actions = [{"actionId": action, "score": score} for action, score in found]
        return {"actionList": actions, "recommendationId": recommendation_id(asked.source)}

    def _asked(self, request: Request) -> _Deployment:
        """The campaign or recommender that a request names."""
        arns = [request[name] for name in ("campaignArn", "recommenderArn") if name in request]
        if len(arns) != 1:
            raise invalid("name either a campaignArn or a recommenderArn")
        kind: Kind = CAMPAIGN if "campaignArn" in request else RECOMMENDER
        source = self._registry.active(arns[0], kind)
        config = source.details[f"{kind.member}Config"]
        trained = source
        if kind is CAMPAIGN:
            trained = self._registry.get(source.details["solutionVersionArn"], SOLUTION_VERSION)
        recipe = find_recipe(trained.details["recipeArn"])
        return _Deployment(source, trained, config, recipe, self._parts.models.load(trained.arn))

    def _found(
        self, request: Request, asked: _Deployment, n: int, may: Mask | None
    ) -> list[Scored]:
        """The best items, each with its score."""
        block: Recommendations | Related
        if asked.type == "RELATED_ITEMS":
            (block,) = asked.model.similar([request["itemId"]], n, eligible=_always(may))
        else:
            user = request.get("userId", "")
            known = self._known(asked, user)
            (block,) = asked.model.recommend(
                [known],
                n,
                eligible=_always(may),
                live_events={known: self._live(asked, user)},
                exploration=exploration(asked.config, asked.recipe, self._parts.seed),
                boosts=influence(asked.config, asked.model),
            )
        count = int(block.counts[0])
        scores = map(float, block.scores[0, :count])
        return list(zip(block.items[0, :count].tolist(), scores, strict=True))

    def _unseen(self, request: Request, asked: _Deployment) -> Mask | None:
        """The items that a use case may show a user again; None if all.

        https://docs.aws.amazon.com/personalize/latest/dg/ECOMMERCE-use-cases.html
        """
        user, hides = request.get("userId"), asked.recipe.hides
        if not user or hides is None:
            return None
        events = self._parts.filters.tables(asked.group, {"INTERACTIONS"}).get("INTERACTIONS")
        if events is None:
            return None
        rows = np.flatnonzero(events.column("USER_ID") == user)
        kinds, items = (events.column(name)[rows] for name in ("EVENT_TYPE", "ITEM_ID"))
        met = [
            item
            for kind, item in zip(kinds, items, strict=True)
            if kind is not None and kind.casefold() == hides.casefold()
        ]
        mask = np.ones(len(asked.model.item_ids), np.bool_)
        places = asked.model.positions(met)
        mask[places[places >= 0]] = False
        return mask

    def _mask(self, request: Request, asked: _Deployment, filtering: Request) -> Mask | None:
        """Which items the filter of `filtering` (the request or a promotion) lets through."""
        if "filterArn" not in filtering:
            if filtering.get("filterValues"):
                raise invalid("filterValues: the request has no filter; name a filterArn")
            return None
        eligibility = self._parts.filters.of_items(
            filtering["filterArn"], asked.group, asked.type, asked.model.item_ids
        )
        try:
            values: Values = eligibility.filter.bind(filtering.get("filterValues", {}))
        except ValueError as fault:
            raise invalid(str(fault)) from fault
        return eligibility.mask(request.get("userId", ""), values, request.get("itemId", ""))

    def _promoted(
        self,
        request: Request,
        asked: _Deployment,
        promotion: Request,
        found: Sequence[Scored],
        n: int,
        unseen: Mask | None,
    ) -> tuple[list[Scored], dict[str, str]]:
        """Give a share of the places to promoted items; who got one, with the promotion's name.

        The promotion's filter applies to them alone, and the request's to the others alone. Places
        are chosen at random; promoted items keep their order among themselves, and so do the
        others: https://docs.aws.amazon.com/personalize/latest/dg/promoting-items.html
        """
        if "filterArn" not in promotion or "percentPromotedItems" not in promotion:
            raise invalid("promotions: each needs a filterArn and percentPromotedItems")
        allowed = _both(self._mask(request, asked, promotion), unseen)
        wanted = round(n * promotion["percentPromotedItems"] / 100)
        promoted = self._found(request, asked, wanted, allowed) if wanted else []
        chosen = {item for item, _ in promoted}
        rest = [one for one in found if one[0] not in chosen][: n - len(promoted)]
        # Stable for a user and an item, so that the same request has the same answer.
        whom = f"{request.get('userId', '')} {request.get('itemId', '')} {self._parts.seed}"
        dice = np.random.default_rng(zlib.crc32(whom.encode()))
        places = set(dice.choice(len(promoted) + len(rest), len(promoted), replace=False).tolist())
        first, second = iter(promoted), iter(rest)
        mixed = [
            next(first if place in places else second) for place in range(len(promoted) + len(rest))
        ]
        return mixed, dict.fromkeys(chosen, str(promotion.get("name", "")))

    def _live(self, asked: _Deployment, user: str) -> list[Event]:
        """The user's events since the training; none where the recipe does not look at them."""
        if not asked.recipe.live or not user:
            return []
        ids = {"INTERACTIONS": "ITEM_ID"}
        if asked.type == "PERSONALIZED_ACTIONS":
            ids["ACTION_INTERACTIONS"] = "ACTION_ID"
        after, found = asked.trained.details["trainedUpTo"], []
        for dataset in self._registry.find(DATASET, datasetGroupArn=asked.group):
            kind = dataset.details["datasetType"]
            events = self._parts.store.streamed(dataset.arn, after=after) if kind in ids else None
            if events is None:
                continue
            rows = np.flatnonzero(events.column("USER_ID") == user)
            names = (ids[kind], "EVENT_TYPE", "TIMESTAMP")
            columns = [events.column(name)[rows] for name in names]
            found += [Event(one, of, int(time)) for one, of, time in zip(*columns, strict=True)]
        return found

    @staticmethod
    def _known(asked: _Deployment, user: str) -> str:
        """The user as the model shall see it: one who was deleted is a stranger."""
        return "" if user in asked.trained.details.get("deletedUsers", ()) else user

    def _columns(self, request: Request, asked: _Deployment) -> dict[str, str]:
        """The columns of Items that the answer shall tell of: as asked for → as in the schema."""
        wanted = request.get("metadataColumns", {})
        if not wanted:
            return {}
        if not asked.config.get("enableMetadataWithRecommendations"):
            raise invalid(
                f"metadataColumns: {asked.source.arn} has enableMetadataWithRecommendations off;"
                " update it first"
            )
        (dataset, columns), *_ = wanted.items()
        schema = self._parts.filters.schemas(asked.group).get("ITEMS")
        if dataset.upper() != "ITEMS" or schema is None:
            raise invalid('metadataColumns: of the form {"ITEMS": ["TITLE"]}, of an Items dataset')
        most = self._quotas.metadata_columns
        if not 1 <= len(columns) <= most:
            raise invalid(f"metadataColumns: {len(columns)} columns; 1 to {most} can be asked for")
        names = {field.name.upper(): field.name for field in schema.fields}
        if unknown := [column for column in columns if column.upper() not in names]:
            raise invalid(
                f"metadataColumns: Items has no {', '.join(unknown)}; it has"
                f" {', '.join(names.values())}"
            )
        return {column: names[column.upper()] for column in columns}

    def _shown(
        self,
        found: Sequence[Scored],
        asked: _Deployment,
        columns: Mapping[str, str],
        promotions: Mapping[str, str],
    ) -> list[dict[str, Any]]:
        """The items as an answer shows them."""
        metadata = self._metadata([item for item, _ in found], asked, columns)
        scored = asked.type in _WITH_SCORES
        return [
            {
                "itemId": item,
                "score": score if scored else None,
                "promotionName": promotions.get(item) or None,
                "metadata": metadata[place] if columns else None,
            }
            for place, (item, score) in enumerate(found)
        ]

    def _metadata(
        self, items: Sequence[str], asked: _Deployment, columns: Mapping[str, str]
    ) -> list[dict[str, str]]:
        """What the Items dataset says of each item now; null is left out."""
        if not columns:
            return [{} for _ in items]
        table = self._parts.filters.tables(asked.group, {"ITEMS"}).get("ITEMS")
        if table is None:
            return [{} for _ in items]
        wanted = set(items)
        rows = {item: n for n, item in enumerate(table.column("ITEM_ID")) if item in wanted}
        values = {shown: table.column(name) for shown, name in columns.items()}
        return [
            {
                shown: str(column[rows[item]])
                for shown, column in values.items()
                if item in rows and column[rows[item]] is not None
            }
            for item in items
        ]


def _results(request: Request, default: int, most: int) -> int:
    """How many results a request asks for."""
    n = request.get("numResults") or default
    if n > most:
        raise invalid(f"numResults must be in [1, {most}], not {n}")
    return int(n)


def _always(mask: Mask | None) -> Eligible | None:
    """The same eligibility for the one that is asked for."""
    return None if mask is None else lambda start, stop: mask[np.newaxis].copy()


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    """What both let through; None lets everything through."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
