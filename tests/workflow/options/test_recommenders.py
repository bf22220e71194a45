"""`[recommenders.NAME]`: names and rules of further recommenders, and what does not go together."""

from pathlib import Path

import pytest

from etl.datasets import JobSpec
from tests.workflow.test_config import mistakes
from workflow import ConfigError, load_config, parse_config
from workflow.config import UnknownRecommenderError, with_integration

EXAMPLE = Path(__file__).parents[3] / "retraining.toml"

SIMILAR = """
[recommenders.similar]
solution = { recipe = "aws-similar-items" }
batch_inference = { table = "job_postings", item_id = "job_postings.id", num_results = 40 }
filter = { keep = 10, eligible_items = { table = "job_postings", item_id = "job_postings.id" } }
"""


def with_recommenders(*tables: str, before: str = "") -> str:
    """Return the example configuration with further tables."""
    return "\n".join([before, EXAMPLE.read_text(), *tables])


def test_each_recommender_is_a_configuration_of_its_own():
    config = parse_config(with_recommenders(SIMILAR))

    first, similar = config.each_recommender

    assert (first.recommender, similar.recommender) == ("", "similar")
    assert (first.solution_name, similar.solution_name) == ("labbase", "labbase-similar")
    assert (first.folder, similar.folder) == ("", "recommenders/similar/")
    assert first.latest_key == "recommendations/latest.json"
    assert similar.latest_key == "recommendations/similar/latest.json"
    assert similar.recipe_arn == "arn:aws:personalize:::recipe/aws-similar-items"
    assert (similar.batch_inference.num_results, similar.filter.keep) == (40, 10)
    assert similar.bucket == config.bucket


def test_a_configuration_without_them_has_one_and_the_same_specification_as_ever():
    config = load_config(EXAMPLE)

    (only,) = config.each_recommender

    assert only == config
    assert "recommenders" not in config.job_spec().to_json()
    assert JobSpec.from_json(config.job_spec().to_json()) == config.job_spec()


def test_the_specification_has_the_lists_of_each():
    spec = parse_config(with_recommenders(SIMILAR)).job_spec()

    similar = spec.recommenders["similar"]

    assert spec.batch_input.prefix == "batch-input/"
    assert similar.batch_input.prefix == "recommenders/similar/batch-input/"
    assert similar.batch_input.columns == {"ITEM_ID": "job_postings.id"}
    assert similar.eligible_items.prefix == "recommenders/similar/filter/eligible-items/"
    assert similar.exclusions is None
    assert JobSpec.from_json(spec.to_json()) == spec
    assert spec.of_recommender("similar").batch_input == similar.batch_input


def test_event_types_of_a_recommender_are_named_by_its_keys():
    trained = SIMILAR.replace(
        'solution = { recipe = "aws-similar-items" }',
        'solution = { recipe = "aws-similar-items", event_type = "apply" }',
    )

    named = parse_config(with_recommenders(trained)).job_spec().event_types

    assert named["recommenders.similar.solution.event_type"] == ("apply",)
    assert "recommenders.similar.datasets.interactions.filter" not in named


@pytest.mark.parametrize(
    ("tables", "key", "rule"),
    [
        (
            SIMILAR.replace("item_id", "user_id", 1),
            "recommenders.similar.batch_inference.user_id",
            "aws-similar-items finds items that are related to an item, not to a user",
        ),
        (
            SIMILAR.replace('"aws-similar-items"', '"aws-similar-items", name = "labbase"'),
            "recommenders.similar.solution.name",
            "the solution 'labbase' is that of [solution] already",
        ),
        (
            SIMILAR.replace("recommenders.similar", "recommenders.Similar"),
            "recommenders.Similar",
            "a recommender's name has up to 24 letters a-z, digits and hyphens",
        ),
        (
            SIMILAR.replace("keep = 10", "spark_above = 9"),
            "recommenders.similar.filter.spark_above",
            "the Spark job filters the list of one recommender alone",
        ),
        (
            SIMILAR.replace("recommenders.similar", "recommenders.popularity"),
            "recommenders.popularity",
            "the solution with which local runs are compared has this name",
        ),
        (
            SIMILAR + "[increments]\n",
            "increments",
            "what [increments] plans, trains and publishes is that of one solution, and"
            " [recommenders] has 1 besides",
        ),
        (
            SIMILAR + '[workflow]\nintegration = "sdk"\n',
            "workflow.integration",
            "functions make the requests for several recommenders, whose settings differ",
        ),
        (
            SIMILAR + "[backtest]\n[recommenders.similar.gate.backtest]\ncoverage.minimum = 0.1\n",
            "recommenders.similar.gate.backtest",
            "[backtest] measures the lists of the first recommender alone",
        ),
        (
            SIMILAR.replace("num_results = 40", "num_results = 9"),
            "recommenders.similar.filter.keep",
            "Personalize gives lists of batch_inference.num_results = 9 at most",
        ),
        (
            '[recommenders.popular]\nsolution = { recipe = "aws-popularity-count" }\n'
            'batch_inference = { table = "students", user_id = "students.id" }\n'
            "[recommenders.popular.gate.metrics.coverage]\nbetter_than_popularity = true\n",
            "recommenders.popular.gate.metrics.coverage.better_than_popularity",
            "aws-popularity-count recommends the most popular items, and is never better than they",
        ),
        (
            SIMILAR.replace("num_results = 40", "personalize_filter = 'EXCLUDE'"),
            "recommenders.similar.batch_inference.personalize_filter",
            None,
        ),
    ],
)
def test_what_is_wrong_with_a_recommender_is_named_by_its_key(tables, key, rule):
    found = mistakes(with_recommenders(tables))

    assert key in found
    assert rule is None or found[key][0] == rule


@pytest.mark.parametrize(
    ("tables", "rule"),
    [
        (SIMILAR, "functions make the requests for several recommenders, whose settings differ"),
        ("[increments]\n", "functions decide how [increments] trains"),
    ],
)
def test_another_integration_is_refused_where_it_does_not_go_together(tables, rule):
    config = parse_config(with_recommenders(tables))

    with pytest.raises(ConfigError) as caught:
        with_integration(config, "sdk")

    assert [(each.key, each.rule) for each in caught.value.mistakes] == [
        ("workflow.integration", rule)
    ]


def test_campaigns_and_deliveries_are_those_of_the_first():
    tables = '[campaigns.home]\n[delivery]\nto = "database"\ntable = "lists"\n'
    first, similar = parse_config(with_recommenders(SIMILAR + tables)).each_recommender

    assert (list(first.campaigns), first.delivery.table) == (["home"], "lists")
    assert (similar.campaigns, similar.delivery) == ({}, None)


def test_mistakes_of_several_tables_are_told_at_once():
    text = with_recommenders(SIMILAR.replace("item_id", "user_id", 1))
    with pytest.raises(ConfigError) as caught:
        parse_config(text.replace('title = "TITLE"', 'title = "NAM"'))

    assert [each.key for each in caught.value.mistakes] == [
        "recommenders.similar.batch_inference.user_id",
        "report.title",
    ]


def test_an_unknown_recommender_is_refused_by_name():
    config = parse_config(with_recommenders(SIMILAR))

    with pytest.raises(UnknownRecommenderError, match=r"no recommender 'similr'; did you mean"):
        config.of_recommender("similr")
