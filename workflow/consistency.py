"""Rules that tables of a configuration keep with each other; those of one table stand with it.

`faults` yields what is broken, each with its key path, the rule and a fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from workflow.extensions import function_name_faults
from workflow.filter_expression import filter_problems
from workflow.lifetimes import lifetime_faults
from workflow.names import OWNER_TAG, tag_problems
from workflow.options.campaigns import campaign_faults
from workflow.options.gate import gate_faults
from workflow.options.increments import UPDATABLE_RECIPES, watermark_faults
from workflow.options.models import BEST, PERSONALIZE, image_faults, model_name_faults
from workflow.options.recommenders import recommender_name_faults
from workflow.personalize import RELATED_RECIPES, SEMANTIC
from workflow.settings import FUNCTIONS, ColumnSettings, Rule
from workflow.source_tables import source_table_faults
from workflow.spelling import suggestion

if TYPE_CHECKING:
    from workflow.config import Config


def faults(config: Config) -> Iterator[Rule]:
    """Yield what the tables of a configuration break."""
    for rules in (
        _run_faults,
        _tag_faults,
        _recommender_name_faults,
        _recommender_faults,
        _of_each(_recipe_faults),
        _of_each(_filter_faults),
        _of_each(_length_faults),
        _of_each(_gate_faults),
        source_table_faults,
        _function_faults,
        _backtest_faults,
        _increment_faults,
        _delivery_faults,
        _campaign_faults,
        _report_faults,
        lifetime_faults,
        _model_faults,
        _publish_faults,
    ):
        yield from rules(config)


def _of_each(rules: Callable[[Config], Iterable[Rule]]) -> Callable[[Config], Iterator[Rule]]:
    """Return rules of a recommender as those of all of them."""

    def of_all(config: Config) -> Iterator[Rule]:
        for each in config.each_recommender:
            above = ("recommenders", each.recommender) if each.recommender else ()
            for path, rule, fix in rules(each):
                yield (*above, *path), rule, fix

    return of_all


def _run_faults(config: Config) -> Iterator[Rule]:
    minutes, hours = config.etl.timeout_minutes, config.timeout_hours
    if minutes >= hours * 60:
        rule = f"timeout_hours = {hours} ends the run before the Spark job reaches its own limit"
        yield ("etl", "timeout_minutes"), rule, "lower it, or raise the other"


def _tag_faults(config: Config) -> Iterator[Rule]:
    for key, problem in tag_problems(config.tags, OWNER_TAG):
        yield ("tags", *filter(None, [key])), *problem


def _recommender_name_faults(config: Config) -> Iterator[Rule]:
    solutions = {each.recommender: each.solution_name for each in config.each_recommender}
    yield from recommender_name_faults(solutions)


def _recommender_faults(config: Config) -> Iterator[Rule]:
    """Yield what does not go together with further recommenders."""
    if not config.recommenders:
        return
    if config.increments:
        yield (
            ("increments",),
            "what [increments] plans, trains and publishes is that of one solution, and"
            f" [recommenders] has {len(config.recommenders)} besides",
            "leave [increments] out, or the recommenders",
        )
    if config.workflow.integration == "sdk":
        yield (
            ("workflow", "integration"),
            "functions make the requests for several recommenders, whose settings differ",
            'write "lambda", or leave [recommenders] out',
        )
    yield from _of_each(_spark_faults)(config)
    for name, settings in config.recommenders.items():
        if settings.gate and settings.gate.backtest:
            yield (
                ("recommenders", name, "gate", "backtest"),
                "[backtest] measures the lists of the first recommender alone",
                "leave these rules out",
            )


def _spark_faults(config: Config) -> Iterator[Rule]:
    if config.filter.spark_above is not None:
        rule = "the Spark job filters the list of one recommender alone"
        yield ("filter", "spark_above"), rule, "leave it out, or the recommenders"


def _recipe_faults(config: Config) -> Iterator[Rule]:
    """Yield what the recipe does not take: ids of the batch input, exclusions, columns of items.

    https://docs.aws.amazon.com/personalize/latest/dg/batch-data-upload.html
    https://docs.aws.amazon.com/personalize/latest/dg/native-recipe-semantic-similarity.html
    """
    recipe, by_item = config.solution.recipe, bool(config.batch_inference.item_id)
    if config.publish.model:
        return  # no recipe is used
    is_related = recipe in RELATED_RECIPES and not config.solution.auto_ml
    if is_related and not by_item:
        yield (
            ("batch_inference", "user_id"),
            f"{recipe} finds items that are related to an item, not to a user",
            "write item_id in its place, and name the table of items",
        )
    elif by_item and not is_related:
        yield (
            ("batch_inference", "item_id"),
            f"{recipe} recommends to users",
            f"write user_id in its place, or a recipe of {', '.join(sorted(RELATED_RECIPES))}",
        )
    if by_item and config.filter.exclusions:
        yield (
            ("filter", "exclusions"),
            "exclusions are pairs of user and item, and related items have no user",
            "leave them out",
        )
    for key, column in (("event_type", "EVENT_TYPE"), ("event_value_threshold", "EVENT_VALUE")):
        chosen = getattr(config.solution, key)
        if chosen not in ("", None) and column not in config.datasets.interactions.columns:
            yield (
                ("solution", key),
                f"the interactions have no column {column} to choose by",
                f'add {column} = "…" to datasets.interactions.columns, or leave this out',
            )
    if recipe == SEMANTIC:
        columns = config.datasets.items.columns.values() if config.datasets.items else ()
        missing = [flag for flag in ("item_name", "textual") if not _any_flag(columns, flag)]
        if missing:
            yield (
                ("solution", "recipe"),
                f"{SEMANTIC} needs columns of the items with"
                f" {' and with '.join(f'{flag} = true' for flag in missing)}",
                "mark the column of the item's name and that of its description",
            )


def _filter_faults(config: Config) -> Iterator[Rule]:
    """Yield what Personalize would refuse of the batch input's filter expression."""
    expression = config.batch_inference.personalize_filter
    known = {data_set.type: data_set for data_set in config.data_sets}
    for rule, fix in filter_problems(expression, known) if expression else ():
        yield ("batch_inference", "personalize_filter"), rule, fix


def _length_faults(config: Config) -> Iterator[Rule]:
    """Yield a length of the lists that is written, and that none of them can have."""
    most, keep = config.batch_inference.num_results, config.filter.keep
    if "keep" in config.filter.model_fields_set and keep > most:
        rule = f"Personalize gives lists of batch_inference.num_results = {most} at most"
        yield ("filter", "keep"), rule, f"write {most} or less, or raise num_results"


def _gate_faults(config: Config) -> Iterator[Rule]:
    if config.gate:
        length = min(config.filter.keep, config.batch_inference.num_results)
        recipe = None if config.solution.auto_ml else config.solution.recipe
        for path, rule, fix in gate_faults(config.gate, recipe, length):
            yield ("gate", *path), rule, fix


def _function_faults(config: Config) -> Iterator[Rule]:
    names = {name: config.function(name) for name in config.functions}
    taken: dict[str, str] = {name: config.function(name) for name in FUNCTIONS}
    yield from function_name_faults(names, taken)


def _backtest_faults(config: Config) -> Iterator[Rule]:
    """Yield what a back-test cannot be made of, and rules of the gate that need one."""
    if config.backtest is None:
        if config.gate and config.gate.backtest:
            rule = "nothing measures the lists published last"
            yield ("gate", "backtest"), rule, "add the table [backtest], or leave these rules out"
        return
    if config.batch_inference.item_id:
        rule = "it compares lists of users with what they did, and related items have no users"
        yield ("backtest",), rule, "leave it out"
    if config.backtest.event_types and "EVENT_TYPE" not in config.datasets.interactions.columns:
        rule = "the interactions have no column EVENT_TYPE to choose by"
        fix = 'add EVENT_TYPE = "…" to datasets.interactions.columns, or leave this out'
        yield ("backtest", "event_types"), rule, fix


def _increment_faults(config: Config) -> Iterator[Rule]:
    """Yield why increments cannot be made of the interactions, or trained by the recipe."""
    increments, interactions = config.increments, config.datasets.interactions
    if increments is None:
        return
    if config.workflow.integration == "sdk":
        yield (
            ("workflow", "integration"),
            "functions decide how [increments] trains",
            'write "lambda", or leave [increments] out',
        )
    for path, rule, fix in watermark_faults(increments, interactions):
        yield ("increments", *path), rule, fix
    if "training" in increments.model_fields_set and increments.training == "update":
        recipe = "the recipe of auto_ml" if config.solution.auto_ml else config.solution.recipe
        if not config.is_updatable:
            yield (
                ("increments", "training"),
                f"{recipe} can only be trained in full;"
                f" {', '.join(sorted(UPDATABLE_RECIPES))} can be updated",
                'write training = "full", or leave it out',
            )


def _delivery_faults(config: Config) -> Iterator[Rule]:
    if config.delivery:
        for path, rule, fix in config.delivery.faults(are_related=config.are_related):
            yield ("delivery", *path), rule, fix


def _campaign_faults(config: Config) -> Iterator[Rule]:
    recipe = None if config.solution.auto_ml else config.solution.recipe
    broken = campaign_faults(config.campaigns, recipe, has_items=bool(config.datasets.items))
    for path, rule, fix in broken:
        yield ("campaigns", *path), rule, fix


def _report_faults(config: Config) -> Iterator[Rule]:
    """Yield why the title is no column of the items."""
    title, items = config.report.title, config.datasets.items
    if not title or (items and title in items.columns):
        return
    known = list(items.columns) if items else []
    rule = "the data set ITEMS has no such column" if items else "there is no data set ITEMS"
    otherwise = f"write one of {', '.join(known)}" if known else "leave it out"
    yield ("report", "title"), rule, suggestion(title, known, otherwise=otherwise)


def _model_faults(config: Config) -> Iterator[Rule]:
    """Yield what is wrong with the team's own models, each by itself."""
    for name, model in config.models.items():
        for path, rule, fix in (*model_name_faults(name), *image_faults(model, config.aws.region)):
            yield ("models", name, *path), rule, fix
        minutes, hours = model.training.longest_minutes, config.timeout_hours
        if minutes >= hours * 60 and not model.is_on_spark:
            yield (
                ("models", name, "training", "max_run_minutes"),
                f"timeout_hours = {hours} ends the run before the training reaches its own limit",
                "lower it, or raise the other",
            )
        if config.batch_inference.item_id and model.builtin:
            yield (
                ("models", name, "builtin"),
                f'builtin = "{model.builtin}" recommends to users, not to items',
                "write batch_inference.user_id, or a script of your own",
            )


def _publish_faults(config: Config) -> Iterator[Rule]:
    """Yield a list that nobody makes, and what is Personalize's alone."""
    if config.publish.is_best:
        yield from _best_faults(config)
        return
    if "metric" in config.publish.model_fields_set:
        fix = f'leave it out, or write from = "{BEST}"'
        yield ("publish", "metric"), "it decides between models, and one is named", fix
    published, known = config.publish.model, [PERSONALIZE, *config.models, BEST]
    if published and published not in config.models:
        fix = suggestion(published, known, otherwise=f"write one of {', '.join(known)}")
        yield ("publish", "from"), "there is no such model", fix
        return
    if published:
        for path, why, fix in _of_personalize(config):
            yield path, f'{why}; from = "{published}" leaves Personalize out', fix


def _best_faults(config: Config) -> Iterator[Rule]:
    """Yield what does not go together with a comparison of models."""
    named = f'or name one model in publish.from, in place of "{BEST}"'
    if not config.models:
        rule = "there is no other model to compare Personalize with"
        fix = f'add a table [models.NAME], or write from = "{PERSONALIZE}"'
        yield ("publish", "from"), rule, fix
    tables = {
        "increments": "a run reads only what has changed, and models are compared by interactions"
        " of all times, which no training has ever got",
        "recommenders": "each of them publishes a list of its own, and models are compared by one",
        "campaigns": "they serve a version of Personalize, and another model may be the best",
    }
    for table, why in tables.items():
        if getattr(config, table):
            yield (table,), why, f"leave it out, {named}"
    if config.batch_inference.item_id:
        rule = "models are compared by what users did next, and related items have no users"
        yield ("batch_inference", "item_id"), rule, f"write user_id in its place, {named}"
    if config.gate and config.gate.backtest:
        rule = "it judges the lists published last, which another model may have made"
        yield ("gate", "backtest"), rule, f"leave it out, {named}"
    if config.filter.spark_above:
        yield _size_fault("how large a list is is known from the imports, a branch of their own")


def _size_fault(why: str) -> Rule:
    return ("filter", "spark_above"), why, "write 0 for always, or leave it out for never"


def _of_personalize(config: Config) -> Iterator[Rule]:
    tables = {
        "gate": "it judges versions of Personalize",
        "increments": "it says what Personalize imports and trains",
        "recommenders": "Personalize trains them",
        "campaigns": "they serve a version of Personalize",
    }
    for table, why in tables.items():
        if getattr(config, table):
            yield (table,), why, f'leave it out, or write from = "{PERSONALIZE}"'
    for key in ("personalize_filter", "exploration_weight", "exploration_item_age_cut_off"):
        if getattr(config.batch_inference, key):
            why = "it is a setting of Personalize's batch inference"
            yield ("batch_inference", key), why, "leave it out"
    if config.filter.spark_above:
        yield _size_fault("how large a list is is known from the imports")


def _any_flag(columns: Iterable[ColumnSettings], flag: str) -> bool:
    """Return whether a column has a flag."""
    return any(getattr(column, flag) for column in columns)
