"""Operations that create batch inference and batch segment jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from localaws.personalize.backend import (
    Answer,
    Parts,
    Request,
    check_inference_config,
    check_influence,
    check_location,
    created,
    exploration,
    influence,
    invalid,
)
from localaws.personalize.batch.jobs import Batch
from localaws.personalize.batch.lines import (
    AttributeSegmentLines,
    ItemSegmentLines,
    Lines,
    RankingLines,
    RelatedLines,
    ThemedLines,
    UserLines,
)
from localaws.personalize.batch.themes import MOST_ITEMS, Themes, theme_faults
from localaws.personalize.resources.jobs import JobFailedError
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.resource_types import (
    BATCH_INFERENCE_JOB,
    BATCH_SEGMENT_JOB,
    SOLUTION_VERSION,
    Kind,
)
from localaws.personalize.training.recipe import Recipe
from localaws.personalize.training.recipes import find_recipe
from recommenders import Recommender

_DEFAULT_RESULTS = 25
_LINES: Mapping[str, type[Lines]] = {
    "USER_PERSONALIZATION": UserLines,
    "POPULAR_ITEMS": UserLines,
    "PERSONALIZED_RANKING": RankingLines,
    "RELATED_ITEMS": RelatedLines,
}
"""By recipe type; the others have no batch inference."""


class Inference:
    """Operations on batch inference and batch segment jobs.

    Args:
        parts: What all operations share.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry

    def create_batch_inference_job(self, request: Request) -> Answer:
        mode = request.get("batchInferenceJobMode", "BATCH_INFERENCE")
        config = request.get("batchInferenceJobConfig", {})
        check_inference_config("batchInferenceJobConfig", config)
        with self._registry.lock:
            version, n = self._asked(request, self._registry.quotas.results)
            recipe = find_recipe(version.details["recipeArn"])
            lines = _LINES.get(recipe.type)
            if lines is None or not recipe.batch:
                raise invalid(f"{version.arn} is of {recipe.name}, which has no batch inference")
            check_influence("batchInferenceJobConfig", config, recipe)
            filtered = self._filter(request, version, self._parts.filters.for_items, recipe)
            themes = self._themes(request, version, recipe, mode)
            job = self._create(BATCH_INFERENCE_JOB, request, version, n, batchInferenceJobMode=mode)

        def made() -> Lines:
            model = self._parts.models.load(version.arn)
            eligibility = filtered(model.item_ids) if filtered else None
            if themes:
                return ThemedLines(model, n, eligibility, themes())
            return lines(
                model,
                n,
                eligibility,
                deleted=self._deleted(version),
                exploration=exploration(config, recipe, self._parts.seed),
                tilt=influence(config, model),
            )

        return self._submit(job, "batch inference", made, MOST_ITEMS if themes else None)

    def _themes(
        self, request: Request, version: Resource, recipe: Recipe, mode: str
    ) -> Callable[[], Themes] | None:
        """What finds the themes of a job; None if it asks for none.

        Raises:
            ServiceError: If it asks for themes where there are none.
        """
        config = request.get("themeGenerationConfig")
        if (mode == "THEME_GENERATION") != (config is not None):
            raise invalid(
                "themes need both batchInferenceJobMode THEME_GENERATION and themeGenerationConfig"
            )
        if config is None:
            return None
        if recipe.name != "aws-similar-items":
            raise invalid(f"{version.arn} is of {recipe.name}; themes need aws-similar-items")
        name, group = config["fieldsForThemeGeneration"]["itemName"], version.details
        schema = self._parts.filters.schemas(group["datasetGroupArn"]).get("ITEMS")
        if faults := list(theme_faults(name, schema)):
            raise invalid("; ".join(faults))

        def themes() -> Themes:
            items = self._parts.filters.tables(group["datasetGroupArn"], {"ITEMS"}).get("ITEMS")
            if items is None or schema is None:
                raise JobFailedError("There are no items; import some first.")
            return Themes(items, schema, name)

        return themes

    def create_batch_segment_job(self, request: Request) -> Answer:
        quotas = self._registry.quotas
        with self._registry.lock:
            version, n = self._asked(request, quotas.segment_users)
            recipe = find_recipe(version.details["recipeArn"])
            if not recipe.segments:
                raise invalid(
                    f"{version.arn} is of {recipe.name}; segments need a recipe of the type"
                    " USER_SEGMENTATION"
                )
            group = version.details["datasetGroupArn"]
            filtered = self._filter(request, version, self._parts.filters.for_users, recipe)
            job = self._create(BATCH_SEGMENT_JOB, request, version, n)
        by_attribute = "ITEMS" in recipe.datasets

        def made() -> Lines:
            model = self._parts.models.load(version.arn)
            eligibility = filtered(model.user_ids) if filtered else None
            deleted = self._deleted(version)
            if by_attribute:
                query = partial(self._query, group, model)
                return AttributeSegmentLines(model, n, eligibility, query, deleted=deleted)
            return ItemSegmentLines(model, n, eligibility, deleted=deleted)

        most = quotas.attribute_queries if by_attribute else quotas.item_queries
        return self._submit(job, "batch segments", made, most)

    def _deleted(self, version: Resource) -> Sequence[str]:
        """The users who were deleted since the training."""
        found = self._registry.get(version.arn, SOLUTION_VERSION)
        return tuple(found.details.get("deletedUsers", ()))

    def _query(self, group: str, model: Recommender, text: str) -> Any:
        return self._parts.filters.matching(text, group, model.item_ids)

    def _asked(self, request: Request, most: int) -> tuple[Resource, int]:
        """The version that a job asks, and the length of its answers."""
        n_results = request.get("numResults", _DEFAULT_RESULTS)
        if not 1 <= n_results <= most:
            raise invalid(f"numResults must be in [1, {most}], not {n_results}")
        check_location("jobInput.s3DataSource.path", request["jobInput"]["s3DataSource"]["path"])
        check_location(
            "jobOutput.s3DataDestination.path", request["jobOutput"]["s3DataDestination"]["path"]
        )
        version = self._registry.active(request["solutionVersionArn"], SOLUTION_VERSION)
        return version, n_results

    @staticmethod
    def _filter(
        request: Request,
        version: Resource,
        find: Callable[[str, str, str], Callable[[Any], Any]],
        recipe: Recipe,
    ) -> Callable[[Any], Any] | None:
        if "filterArn" not in request:
            return None
        return find(request["filterArn"], version.details["datasetGroupArn"], recipe.type)

    def _create(
        self, kind: Kind, request: Request, version: Resource, n_results: int, **more: Any
    ) -> Resource:
        return self._registry.create(
            kind,
            request["jobName"],
            request,
            numResults=n_results,
            solutionArn=version.details["solutionArn"],
            datasetGroupArn=version.details["datasetGroupArn"],
            **more,
        )

    def _submit(
        self, job: Resource, kind: str, lines: Callable[[], Lines], most_lines: int | None
    ) -> Answer:
        work = Batch(
            lines,
            job.details["jobInput"]["s3DataSource"]["path"],
            job.details["jobOutput"]["s3DataDestination"]["path"],
            self._parts.directory,
            most_lines,
        )
        run = partial(work.run, self._parts.s3_of(job.details))
        self._parts.workers.submit(job.arn, kind, run)
        return created(job)
