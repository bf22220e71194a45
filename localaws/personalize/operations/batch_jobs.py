"""Operations that create batch inference and batch segment jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from localaws.personalize.backend import (
    Operations,
    Request,
    Response,
    arn_response,
    check_exploration,
    check_location,
    check_ranking_influence,
    exploration,
    ranking_influence,
)
from localaws.personalize.batch.jobs import run_batch
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
from localaws.personalize.data.schemas import Schema
from localaws.personalize.errors import JobFailedError, invalid
from localaws.personalize.resources.jobs import Report
from localaws.personalize.resources.registry import Resource
from localaws.personalize.resources.types import (
    BATCH_INFERENCE_JOB,
    BATCH_SEGMENT_JOB,
    SOLUTION_VERSION,
    ResourceType,
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

MakeLines = Callable[..., Lines]
"""Returns lines, by the keyword arguments that the lines of all jobs have."""


class BatchJobs(Operations):
    """Operations on batch inference and batch segment jobs."""

    def create_batch_inference_job(self, request: Request) -> Response:
        config = request.get("batchInferenceJobConfig", {})
        check_exploration("batchInferenceJobConfig", config)
        with self._registry.lock:
            version, recipe = self._version(request, self._registry.quotas.results)
            if not recipe.batch:
                raise invalid(f"{version.arn} is of {recipe.name}, which has no batch inference")
            check_ranking_influence("batchInferenceJobConfig", config, recipe)
            schema = self._check_themes(request, version, recipe)

            def lines(model: Recommender, **common: Any) -> Lines:
                if schema is not None:
                    return ThemedLines(themes=self._themes(request, version, schema), **common)
                return _LINES[recipe.type](
                    exploration=exploration(config, recipe, self._backend.seed),
                    boosts=ranking_influence(config, model),
                    **common,
                )

            most_lines = None if schema is None else MOST_ITEMS
            details = {"batchInferenceJobMode": "BATCH_INFERENCE", **request}
            return self._start(BATCH_INFERENCE_JOB, details, version, lines, most_lines)

    def create_batch_segment_job(self, request: Request) -> Response:
        quotas = self._registry.quotas
        with self._registry.lock:
            version, recipe = self._version(request, quotas.segment_users)
            if not recipe.segments:
                raise invalid(
                    f"{version.arn} is of {recipe.name}; segments need a recipe of the type"
                    " USER_SEGMENTATION"
                )
            by_attribute = "ITEMS" in recipe.datasets

            def lines(model: Recommender, **common: Any) -> Lines:
                if not by_attribute:
                    return ItemSegmentLines(**common)
                query = partial(
                    self._backend.filters.matching_items,
                    group_arn=version.details["datasetGroupArn"],
                    item_ids=model.item_ids,
                )
                return AttributeSegmentLines(query=query, **common)

            most_lines = quotas.attribute_queries if by_attribute else quotas.item_queries
            return self._start(BATCH_SEGMENT_JOB, request, version, lines, most_lines)

    def _check_themes(self, request: Request, version: Resource, recipe: Recipe) -> Schema | None:
        """Return the schema of the items whose themes a job generates; None if it generates none.

        Raises:
            ServiceError: If the items have no themes.
        """
        is_themed = request.get("batchInferenceJobMode") == "THEME_GENERATION"
        config = request.get("themeGenerationConfig")
        if is_themed != (config is not None):
            raise invalid(
                "themes need both batchInferenceJobMode THEME_GENERATION and themeGenerationConfig"
            )
        if config is None:
            return None
        if recipe.name != "aws-similar-items":
            raise invalid(f"{version.arn} is of {recipe.name}; themes need aws-similar-items")
        schema = self._backend.groups.schemas(version.details["datasetGroupArn"]).get("ITEMS")
        if faults := list(theme_faults(config["fieldsForThemeGeneration"]["itemName"], schema)):
            raise invalid("; ".join(faults))
        return schema

    def _themes(self, request: Request, version: Resource, schema: Schema) -> Themes:
        tables = self._backend.groups.tables(version.details["datasetGroupArn"], {"ITEMS"})
        if "ITEMS" not in tables:
            raise JobFailedError("There are no items; import some first.")
        name = request["themeGenerationConfig"]["fieldsForThemeGeneration"]["itemName"]
        return Themes(tables["ITEMS"], schema, name)

    def _version(self, request: Request, most: int) -> tuple[Resource, Recipe]:
        """Return the version of a job, and its recipe, once the rest of the job is checked."""
        n_results = request.get("numResults", _DEFAULT_RESULTS)
        if not 1 <= n_results <= most:
            raise invalid(f"numResults must be in [1, {most}], not {n_results}")
        for member, inner in (("jobInput", "s3DataSource"), ("jobOutput", "s3DataDestination")):
            check_location(f"{member}.{inner}.path", request[member][inner]["path"])
        version = self._registry.active(request["solutionVersionArn"], SOLUTION_VERSION)
        return version, find_recipe(version.details["recipeArn"])

    def _start(
        self,
        type_: ResourceType,
        request: Request,
        version: Resource,
        lines: MakeLines,
        most_lines: int | None,
    ) -> Response:
        """Create a job and submit its work."""
        group_arn = version.details["datasetGroupArn"]
        recipe_type = find_recipe(version.details["recipeArn"]).type
        snapshot = None
        if "filterArn" in request:
            arn = request["filterArn"]
            snapshot = self._backend.filters.snapshot(arn, group_arn, recipe_type)
        n_results = request.get("numResults", _DEFAULT_RESULTS)
        job = self._registry.create(
            type_,
            request["jobName"],
            request,
            numResults=n_results,
            solutionArn=version.details["solutionArn"],
            datasetGroupArn=group_arn,
        )

        def make_lines() -> Lines:
            model = self._backend.models.load(version.arn)
            ids = model.user_ids if type_ is BATCH_SEGMENT_JOB else model.item_ids
            # Users may have been deleted since the request.
            details = self._registry.get(version.arn, SOLUTION_VERSION).details
            return lines(
                model,
                recommender=model,
                n_results=n_results,
                eligibility=snapshot(ids) if snapshot else None,
                deleted=frozenset(details.get("deletedUsers", ())),
            )

        def work(report: Report) -> Response:
            run_batch(
                self._backend.s3(request["roleArn"]),
                request["jobInput"]["s3DataSource"]["path"],
                request["jobOutput"]["s3DataDestination"]["path"],
                make_lines,
                report,
                scratch=self._backend.directory,
                most_lines=most_lines,
            )
            return {}

        task = "batch segments" if type_ is BATCH_SEGMENT_JOB else "batch inference"
        self._backend.workers.submit(job, task, work)
        return arn_response(job)
