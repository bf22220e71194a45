"""Event types that a configuration names, in Personalize's expressions and in Spark SQL."""

import pytest

from tests.workflow.test_config import EXAMPLE, MINIMAL
from workflow import load_config, parse_config

EXPRESSION = '''
EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("buy", "return") | \
INCLUDE ItemID WHERE Interactions.event_type NOT IN ("*") AND Interactions.EVENT_TYPE = "view"'''


def named(
    *, kind: str = "clicks.kind", where: str = "", excluded: str = "", of: str = "sales.clicks"
) -> dict[str, tuple[str, ...]]:
    text = MINIMAL.replace("ITEM_ID = ", f'EVENT_TYPE = "{kind}"\nITEM_ID = ').replace(
        'table = "sales.clicks"', f"table = 'sales.clicks'\nfilter = '''{where}'''"
    )
    exclusions = (
        f'[filter.exclusions]\ntable = "{of}"\nfilter = "{excluded}"\n'
        'user_id = "u"\nitem_id = "i"\n'
    )
    return dict(parse_config(text + exclusions).job_spec().event_types)


def test_the_sample_names_one_type_in_two_places() -> None:
    assert load_config(EXAMPLE).job_spec().event_types == {
        "batch_inference.personalize_filter": ("apply",),
        "filter.exclusions.filter": ("apply",),
    }


def test_expressions_and_the_solution_name_types() -> None:
    text = MINIMAL.replace("ITEM_ID = ", 'EVENT_TYPE = "concat(kind, 1)"\nITEM_ID = ')
    text += f"personalize_filter = '''{EXPRESSION}'''\n[solution]\nevent_type = 'like'\n"
    assert parse_config(text).job_spec().event_types == {
        "solution.event_type": ("like",),
        "batch_inference.personalize_filter": ("buy", "return", "view"),
    }


@pytest.mark.parametrize(
    ("where", "types"),
    [
        ("clicks.kind = 'a'", ("a",)),
        ("kind IN ('a', 'b') AND x = 'c'", ("a", "b")),
        ("clicks.`kind` == 'a'", ("a",)),
        ("kind <> 'a' OR kind != 'b' OR kind NOT IN ('c')", ()),
        ("mankind = 'a'", ()),
        ("items.kind = 'a'", ()),
        ('clicks.kind = "a"', ("a",)),
        ("NOT (clicks.kind = 'a')", ()),
        ("NOT kind IN ('a')", ()),
        ("x IS NOT NULL AND kind = 'a'", ("a",)),
        ("kind = 'a' or kind='b'", ("a", "b")),
    ],
)
def test_a_filter_of_the_interactions_names_types(where: str, types: tuple[str, ...]) -> None:
    assert named(where=where).get("datasets.interactions.filter", ()) == types


def test_exclusions_name_types_of_the_same_table_unless_the_interactions_leave_some_out() -> None:
    assert named(excluded="kind = 'buy'") == {"filter.exclusions.filter": ("buy",)}
    assert named(excluded="kind = 'buy'", of="sales.orders") == {}
    assert named(excluded="kind = 'buy'", where="kind = 'view'") == {
        "datasets.interactions.filter": ("view",)
    }
    assert named(excluded="kind = 'buy'", kind="upper(kind)") == {}


def test_popular_items_are_the_same_list_for_everybody() -> None:
    assert parse_config(MINIMAL).least_different_lists == 0.01
    popular = MINIMAL + '[solution]\nrecipe = "aws-popularity-count"\n'
    assert parse_config(popular).least_different_lists == 0
