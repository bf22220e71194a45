"""Filters: refusals and their messages, eligible items and users, filtered batch inference."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.personalize.data.schemas import parse_schema
from localaws.personalize.data.tables import Table
from localaws.personalize.filters import Eligibility, Filter, parse_filter
from localaws.personalize.filters.expressions import Condition, Placeholder

from .account import PREFIX, Account, avro, refusal
from .test_jobs import Alone, Bucket

ITEMS = (
    avro(
        "Items",
        ("ITEM_ID", "string"),
        ("GENRE", ["null", "string"]),
        ("STUDIO", ["string", "null"]),
        ("PRICE", ["null", "float"]),
        ("YEAR", "int"),
        ("TEXT", ["null", "string"]),
        ("ON_SALE", "boolean"),
    )
    .replace('"GENRE"', '"GENRE", "categorical": true')
    .replace('"TEXT"', '"TEXT", "textual": true')
)
USERS = avro(
    "Users",
    ("USER_ID", "string"),
    ("AGE", ["null", "int"]),
    ("PLAN", "string"),
    *((f"U{number}", "int") for number in range(20)),
)
CLICKS = avro(
    "Interactions",
    ("USER_ID", "string"),
    ("ITEM_ID", "string"),
    ("EVENT_TYPE", ["null", "string"]),
    ("TIMESTAMP", "long"),
    ("PLACE", "string"),
)
SCHEMAS = {
    "ITEMS": parse_schema(ITEMS),
    "USERS": parse_schema(USERS),
    "INTERACTIONS": parse_schema(CLICKS),
}
GROUP = f"{PREFIX}:dataset-group/shop"


def table(names: str, *rows: tuple[Any, ...]) -> Table:
    """Return a table as an import gives it; integers where no row is null."""
    columns = {}
    for name, values in zip(names.split(), zip(*rows, strict=True), strict=True):
        exact = all(type(value) is int for value in values)
        columns[name] = np.array(values, dtype=np.int64 if exact else object)
    return Table(columns)


FILMS = table(
    "ITEM_ID GENRE STUDIO PRICE YEAR",
    ("a", "drama", "Toho", 10.0, 2001),
    ("b", "drama|war", "Toho|Shochiku", 20.0, 2002),
    ("c", "comedy", None, 30.0, 2003),
    ("d", None, "Toei", None, 2004),
)
PEOPLE = table(
    "USER_ID AGE PLAN", ("young", 17, "free"), ("old", 70, "paid"), ("odd", None, "free")
)
SEEN = table(
    "USER_ID ITEM_ID EVENT_TYPE TIMESTAMP",
    ("old", "a", "View", 1),
    ("old", "b", "view", 2),
    ("old", "b", "buy", 3),
    ("old", "gone", "buy", 4),
    ("young", "c", None, 5),
)
TABLES = {"ITEMS": FILMS, "USERS": PEOPLE, "INTERACTIONS": SEEN}


def eligible(expression: str, user: str = "old", **texts: str) -> str:
    """Return which of the items a, b, c, d, and e (which Items does not have) a user may get."""
    parsed = parse_filter(expression, SCHEMAS)
    catalogue = np.array(list("abcde"))
    eligibility = Eligibility(parsed, TABLES, catalogue)
    return "".join(catalogue[eligibility.mask(user, parsed.bind(texts))])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('INCLUDE ItemID WHERE Items.GENRE IN ("drama")', "ab"),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("war", "comedy")', "bc"),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("Drama")', ""),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("drama|war")', ""),
        ('INCLUDE ItemID WHERE Items.STUDIO IN ("Toho")', "a"),
        ('INCLUDE ItemID WHERE Items.STUDIO IN ("Toho|Shochiku")', "b"),
        ('EXCLUDE ItemID WHERE Items.GENRE IN ("drama")', "cde"),
        ('INCLUDE ItemID WHERE Items.GENRE NOT IN ("drama")', "cde"),
        ('INCLUDE ItemID WHERE Items.GENRE = "war"', "b"),
        ('INCLUDE ItemID WHERE Items.GENRE != "war"', "ac"),
        ("INCLUDE ItemID WHERE Items.PRICE = 20", "b"),
        ("INCLUDE ItemID WHERE Items.PRICE != 20", "ac"),
        ("INCLUDE ItemID WHERE Items.PRICE < 20.5", "ab"),
        ("INCLUDE ItemID WHERE Items.PRICE <= 20", "ab"),
        ("INCLUDE ItemID WHERE Items.PRICE > (-1)", "abc"),
        ("INCLUDE ItemID WHERE Items.YEAR >= 2.003e3", "cd"),
        ("INCLUDE ItemID WHERE Items.YEAR < 99999999999999999999", "abcd"),
        ('INCLUDE ItemID WHERE Items.ITEM_ID IN ("d", "e")', "d"),
        ('include itemid where items.genre in ("drama") AND items.Year = 2002', "b"),
        (
            'INCLUDE ItemID WHERE Items.YEAR = 2001 OR Items.GENRE IN ("war") AND Items.YEAR = 1',
            "a",
        ),
        ('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("VIEW")', "cde"),
        ('INCLUDE ItemID WHERE INTERACTIONS.event_type IN ("buy")', "b"),
        ('INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")', "ab"),
        ('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ("buy")', "b"),
        (
            'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("view") AND '
            'Interactions.EVENT_TYPE NOT IN ("buy")',
            "a",
        ),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("drama") IF CurrentUser.AGE > 60', "ab"),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("drama") IF CurrentUser.AGE < 60', "abcde"),
        (
            "EXCLUDE ItemID WHERE Items.YEAR > 0 IF CurrentUser.AGE = 70 AND CurrentUser.PLAN IN "
            '("free")',
            "abcde",
        ),
        ("EXCLUDE ItemID WHERE Items.YEAR = 2001 | EXCLUDE ItemID WHERE Items.YEAR = 2002", "cde"),
        ("INCLUDE ItemID WHERE Items.YEAR = 2001 | INCLUDE ItemID WHERE Items.YEAR = 2002", "ab"),
        (
            'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("buy")\n|\n'
            'INCLUDE ItemID WHERE Items.GENRE IN ("drama") | INCLUDE ItemID WHERE Items.YEAR=2004',
            "ad",
        ),
    ],
)
def test_the_items_that_an_expression_leaves(expression: str, expected: str) -> None:
    assert eligible(expression) == expected


def test_placeholders_take_the_values_of_the_request() -> None:
    genres = "INCLUDE ItemID WHERE Items.GENRE IN ($G)"
    assert eligible(genres, G='"war"') == "b"
    assert eligible(genres, G='"war" , "comedy"') == "bc"
    assert eligible('INCLUDE ItemID WHERE Items.GENRE IN ("comedy", $G)', G='"war"') == "bc"
    assert eligible("INCLUDE ItemID WHERE Items.PRICE <= $P", P="20") == "ab"
    assert eligible("INCLUDE ItemID WHERE Items.PRICE <= $P", P='"1e1"') == "a"
    assert eligible("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($T)", T='"*"') == "cde"
    age = "EXCLUDE ItemID WHERE Items.YEAR > 2001 IF CurrentUser.AGE = $AGE"
    assert [eligible(age, AGE=text) for text in ("70", "17")] == ["ae", "abcde"]


def test_if_is_about_the_user_and_null_or_an_unknown_user_never_matches() -> None:
    kids = "INCLUDE ItemID WHERE Items.YEAR = 2001 IF CurrentUser.AGE < 18"
    assert [eligible(kids, user) for user in ("young", "old", "odd", "nobody")] == [
        "a",
        "abcde",
        "abcde",
        "abcde",
    ]
    others = 'INCLUDE ItemID WHERE Items.YEAR = 2001 IF CurrentUser.PLAN NOT IN ("free")'
    assert [eligible(others, user) for user in ("young", "old", "nobody")] == ["abcde", "a", "a"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Items.YEAR < CurrentItem.YEAR", {"a": "", "b": "a", "d": "abc", "e": ""}),
        ("Items.PRICE >= (CurrentItem.PRICE)", {"a": "abc", "b": "bc", "d": "", "e": ""}),
        ("Items.GENRE IN CurrentItem.GENRE", {"a": "ab", "b": "ab", "c": "c", "d": "", "e": ""}),
        ("Items.GENRE NOT IN currentitem.genre", {"a": "cde", "b": "cde", "d": "abcde"}),
        ('Items.GENRE IN (CurrentItem.GENRE, "comedy")', {"a": "abc", "d": "c"}),
        ("Items.STUDIO = CurrentItem.STUDIO", {"a": "a", "b": "b", "c": ""}),
        ("Items.STUDIO != CurrentItem.STUDIO", {"a": "bd", "c": ""}),
        (
            "Items.YEAR < CurrentItem.YEAR AND Items.PRICE > $P",
            {"a": "", "c": "b", "d": "bc"},
        ),
    ],
)
def test_items_are_compared_with_the_current_one(expression: str, expected: dict[str, str]) -> None:
    """By item; e is not in Items, d has neither genre nor price, c no studio."""
    parsed = parse_filter(f"INCLUDE ItemID WHERE {expression}", SCHEMAS)
    catalogue = np.array(list("abcde"))
    eligibility = Eligibility(parsed, TABLES, catalogue)
    values = parsed.bind({"P": "15"} if "$P" in expression else {})
    masks = eligibility.masks([""] * len(expected), [values] * len(expected), list(expected))
    actual = {item: "".join(catalogue[mask]) for item, mask in zip(expected, masks, strict=True)}
    assert actual == expected


def test_events_without_a_type_and_users_without_events() -> None:
    met = "INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN"
    assert [eligible(f'{met} ("*")', user) for user in ("young", "odd", "nobody")] == ["c", "", ""]
    assert eligible(f'{met} ("")', "young") == ""


def test_the_newest_hundred_events_of_each_type_count() -> None:
    """Of 101 views the oldest is forgotten; the one buy is older than all of them."""
    events = [("u", "b", "buy", 0)] + [
        ("u", "a" if n == 1 else "c", "view", n) for n in range(1, 102)
    ]
    random.Random(3).shuffle(events)
    seen = table("USER_ID ITEM_ID EVENT_TYPE TIMESTAMP", *events)
    parsed = parse_filter('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")', SCHEMAS)
    eligibility = Eligibility(parsed, {"INTERACTIONS": seen}, np.array(["a", "b", "c", "d"]))
    assert eligibility.mask("u", {}).tolist() == [True, False, False, True]


def test_nothing_is_imported_yet() -> None:
    expression = (
        'INCLUDE ItemID WHERE Items.GENRE NOT IN ("x") IF CurrentUser.AGE != 1 '
        '| EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")'
    )
    eligibility = Eligibility(parse_filter(expression, SCHEMAS), {}, np.array(["a", "b"]))
    assert eligibility.masks(["u", "v"], [{}, {}]).tolist() == [[True, True], [True, True]]


def holds(condition: Condition, row: dict[str, Any], values: dict[str, Any]) -> bool:
    """Return whether a condition is true for a row, value by value."""
    value = row.get(condition.field.name)
    expected = [
        value
        for each in condition.values
        for value in (values[each.name] if isinstance(each, Placeholder) else [each])
    ]
    parts = [value]
    if condition.field.categorical and value is not None:
        parts = value.split("|")
    if condition.operator in {"IN", "NOT IN"}:
        matches = any(part in expected for part in parts)
        return matches if condition.operator == "IN" else not matches
    if value is None:
        return False
    (limit,) = expected
    return {
        "=": any(part == limit for part in parts),
        "!=": all(part != limit for part in parts),
        "<": not isinstance(value, str) and value < limit,
        "<=": not isinstance(value, str) and value <= limit,
        ">": not isinstance(value, str) and value > limit,
        ">=": not isinstance(value, str) and value >= limit,
    }[condition.operator]


def rows(table: Table, key: str = "") -> Any:
    """Return the rows as dictionaries, by key if there is one."""
    names = list(table.columns)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]
    return {row[key]: row for row in rows} if key else rows


def brute_force(
    parsed: Filter, tables: dict[str, Table], item: str, user: str, values: dict[str, Any]
) -> bool:
    """Return whether a user may get an item, row by row."""
    items, users = rows(tables["ITEMS"], "ITEM_ID"), rows(tables["USERS"], "USER_ID")
    newest: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in sorted(rows(tables["INTERACTIONS"]), key=lambda event: event["TIMESTAMP"]):
        event_type = event["EVENT_TYPE"] and event["EVENT_TYPE"].lower()
        newest.setdefault((event["USER_ID"], event_type), []).append(event)
    met = {
        event_type
        for (user_id, event_type), events in newest.items()
        if user_id == user and any(event["ITEM_ID"] == item for event in events[-100:])
    }

    def true(condition: Condition) -> bool:
        if condition.dataset == "ITEMS":
            return holds(condition, items.get(item, {}), values)
        types = {
            str(value).lower()
            for each in condition.values
            for value in (values[each.name] if isinstance(each, Placeholder) else [each])
        }
        matches = bool(met) if "*" in types else bool(met & types)
        return matches if condition.operator == "IN" else not matches

    included, excluded = [], []
    for expression in parsed.expressions:
        if all(holds(condition, users.get(user, {}), values) for condition in expression.when):
            matched = any(all(map(true, alternative)) for alternative in expression.where)
            (excluded if expression.excludes else included).append(matched)
    return (any(included) if included else True) and not any(excluded)


def random_condition(dice: random.Random, dataset: str) -> str:
    """Draw a comparison of a dataset's field."""
    words = ["a", "b", "c", "A", "a|b"]
    strings = {
        "Items": ["GENRE", "STUDIO"],
        "CurrentUser": ["PLAN"],
        "Interactions": ["EVENT_TYPE"],
    }
    numbers = {"Items": ["PRICE", "YEAR"], "CurrentUser": ["AGE"]}
    if dataset in numbers and dice.random() < 0.5:
        operator = dice.choice(["=", "!=", "<", "<=", ">", ">="])
        value = dice.choice(["0", "1", "2.5", "-3", "$number"])
        return f"{dataset}.{dice.choice(numbers[dataset])} {operator} {value}"
    listed = [f'"{word}"' for word in dice.sample(words, dice.randint(1, 3))]
    field = f"{dataset}.{dice.choice(strings[dataset])}"
    if dice.random() < 0.2 and dataset != "Interactions":
        return f"{field} {dice.choice(['=', '!='])} {listed[0]}"
    if dataset == "Interactions" and dice.random() < 0.2:
        listed.append('"*"')
    if dice.random() < 0.3:
        return f"{field} IN ({', '.join([*listed[1:], '$words'])})"
    return f"{field} {dice.choice(['IN', 'NOT IN'])} ({', '.join(listed)})"


def random_filter(dice: random.Random) -> str:
    """Draw one to three expressions."""
    expressions = []
    for _ in range(dice.randint(1, 3)):
        dataset = dice.choice(["Items", "Interactions"])
        where = random_condition(dice, dataset)
        for _ in range(dice.randint(0, 2)):
            where += f" {dice.choice(['AND', 'OR'])} {random_condition(dice, dataset)}"
        when = [random_condition(dice, "CurrentUser") for _ in range(dice.randint(0, 2))]
        condition = f" IF {' AND '.join(when)}" if when else ""
        expressions.append(f"{dice.choice(['INCLUDE', 'EXCLUDE'])} ItemID WHERE {where}{condition}")
    return " | ".join(expressions)


def random_tables(dice: random.Random) -> dict[str, Table]:
    """Few items and users with nulls and several values, and many events of few users."""

    def word() -> str | None:
        return dice.choice(["a", "b", "c", "A", "a|b", "b|c|A", None])

    return {
        "ITEMS": table(
            "ITEM_ID GENRE STUDIO PRICE YEAR",
            *((f"i{n}", word(), word(), dice.choice([None, 0.0, 2.5]), n % 3) for n in range(10)),
        ),
        "USERS": table(
            "USER_ID AGE PLAN",
            *((f"u{n}", dice.choice([None, 0, 1, 2]), dice.choice("abc")) for n in range(4)),
        ),
        "INTERACTIONS": table(
            "USER_ID ITEM_ID EVENT_TYPE TIMESTAMP",
            *(
                (
                    f"u{min(dice.randrange(9), 3)}",
                    f"i{min(dice.randrange(200), 12)}",
                    event_type,
                    time,
                )
                for time in range(700)
                for event_type in [dice.choice(["a", "A", "b", "c", None])]
            ),
        ),
    }


@pytest.mark.parametrize("seed", range(40))
def test_masks_equal_a_search_row_by_row(seed: int) -> None:
    dice = random.Random(seed)
    tables, expression = random_tables(dice), random_filter(dice)
    parsed = parse_filter(expression, SCHEMAS)
    catalogue = [f"i{number}" for number in range(12)]
    eligibility = Eligibility(parsed, tables, np.array(catalogue))
    users = [f"u{number}" for number in range(5)] * 2
    placeholders: list[dict[str, Any]] = [
        {"number": (dice.choice([0, 1, 2.5]),), "words": (dice.choice("abc"), "A")} for _ in users
    ]
    expected = [
        [brute_force(parsed, tables, item, user, values) for item in catalogue]
        for user, values in zip(users, placeholders, strict=True)
    ]
    assert eligibility.masks(users, placeholders).tolist() == expected, expression


@pytest.fixture(scope="module")
def shop(account: Account) -> Iterator[str]:
    """Return a popularity model of a dataset group with Items, Users and Interactions."""
    group = account.group("shop")
    arns = {
        dataset_type: account.dataset(
            "shop", dataset_type, account.schema(f"shop-{dataset_type}", text)
        )
        for dataset_type, text in (("Items", ITEMS), ("Users", USERS), ("Interactions", CLICKS))
    }
    films = "".join(
        f"i{n:02},{'drama|war' if n % 2 else 'comedy'},,{n},2000,,true\n" for n in range(40)
    )
    zeros = ",0" * 20
    people = "".join(f"u{n},{n},{'paid' if n % 2 else 'free'}{zeros}\n" for n in range(60))
    # Item n is met n + 10 times, so that popularity has one order; u7 applied to i39 and i38.
    met = [number for number in range(40) for _ in range(number + 10)]
    clicks = [f"u{n % 60},i{item:02},view,{n},web\n" for n, item in enumerate(met)]
    clicks += ["u7,i39,apply,5000,web\n", "u7,i38,Apply,5001,web\n"]
    extra = "".join(f",U{n}" for n in range(20))
    for dataset_type, text in (
        ("Items", f"ITEM_ID,GENRE,STUDIO,PRICE,YEAR,TEXT,ON_SALE\n{films}"),
        ("Users", f"USER_ID,AGE,PLAN{extra}\n{people}"),
        ("Interactions", "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP,PLACE\n" + "".join(clicks)),
    ):
        job = account.load(
            f"shop-{dataset_type}",
            arns[dataset_type],
            account.put(f"shop/{dataset_type}.csv", text),
        )
        assert job["status"] == "ACTIVE", job
    solution = account.solution("shop", group, "aws-popularity-count")
    version = account.train(solution)
    assert version["status"] == "ACTIVE"
    yield str(version["solutionVersionArn"])
    account.personalize.delete_solution(solutionArn=solution)
    for arn in arns.values():
        account.personalize.delete_dataset(datasetArn=arn)
    for summary in account.personalize.list_filters(datasetGroupArn=group)["Filters"]:
        account.personalize.delete_filter(filterArn=summary["filterArn"])
    account.personalize.delete_dataset_group(datasetGroupArn=group)


def create(account: Account, name: str, expression: str, group: str = GROUP) -> str:
    """Create a filter, wait until it is ACTIVE, and return its ARN."""
    arn = account.personalize.create_filter(
        name=name, datasetGroupArn=group, filterExpression=expression
    )["filterArn"]
    assert account.settled("Filter", arn)["status"] == "ACTIVE"
    return str(arn)


def refused(account: Account, expression: str) -> str:
    """Return the message with which an expression is refused."""
    code, message = refusal(
        account.personalize.create_filter,
        name="refused",
        datasetGroupArn=GROUP,
        filterExpression=expression,
    )
    assert code == "InvalidInputException"
    return message


VALUE = (
    "a string in double quotes, a number, a placeholder like $GENRE or a field like "
    "CurrentItem.GENRE"
)
VALUE_OR_PARENTHESIS = VALUE.replace(" or a", ", a") + " or '('"
OPERATOR = "IN, NOT IN or one of = != < <= > >="


@pytest.mark.parametrize(
    ("expression", "column", "fault"),
    [
        (" ", 1, "expected INCLUDE or EXCLUDE, but the expression ends here"),
        ("SELECT ItemID", 1, "expected INCLUDE or EXCLUDE, not 'SELECT'"),
        ("INCLUD ItemID", 1, "expected INCLUDE or EXCLUDE, not 'INCLUD'; did you mean INCLUDE?"),
        (
            "INCLUDE ItemsID WHERE",
            9,
            "expected ItemID, UserID or ActionID, not 'ItemsID'; did you mean ItemID?",
        ),
        (
            "INCLUDE ActionID WHERE Items.YEAR = 1",
            24,
            "the expression can compare Actions or Action_Interactions, not Items",
        ),
        (
            "INCLUDE ActionID WHERE Actions.VALUE > 1",
            24,
            "the dataset group has no Actions dataset; create it first",
        ),
        (
            "EXCLUDE ItemID WHERE",
            21,
            "expected a field like Items.GENRE, but the expression ends here",
        ),
        ("EXCLUDE ItemID WHERE GENRE = 1", 22, "expected a field like Items.GENRE, not 'GENRE'"),
        (
            "EXCLUDE ItemID WHERE (Items.YEAR = 1)",
            22,
            "expected a field like Items.GENRE, not '('; parentheses cannot group conditions",
        ),
        ('EXCLUDE ItemID WHERE Items.GENRE LIKE "x"', 34, f"expected {OPERATOR}, not 'LIKE'"),
        (
            "EXCLUDE ItemID WHERE Items.GENRE IN ('x')",
            38,
            f'expected {VALUE}, not "\'"; strings stand in double quotes, e.g. "horror"',
        ),
        (
            'EXCLUDE ItemID WHERE Items.GENRE IN ("x)',
            38,
            f"expected {VALUE}, not '\"x)'; its closing quote is missing",
        ),
        ("EXCLUDE ItemID WHERE Items.GENRE IN ()", 38, f"expected {VALUE}, not ')'"),
        ("EXCLUDE ItemID WHERE Items.GENRE IN ($A-B)", 40, "expected ',' or ')', not '-'"),
        (
            "EXCLUDE ItemID WHERE Items.YEAR = CurrentUser.AGE",
            35,
            f"expected {VALUE_OR_PARENTHESIS}, not 'CurrentUser.AGE'; CurrentUser can only be "
            "compared after IF; it is no value",
        ),
        (
            "EXCLUDE ItemID WHERE Items.GENRE IN CurrentItem.YEAR",
            37,
            "GENRE is of type string, YEAR of type int; they cannot be compared",
        ),
        (
            "EXCLUDE ItemID WHERE Items.GENRE IN CurrentItem.GENDER",
            37,
            "Items has no field GENDER; did you mean Items.GENRE?",
        ),
        (
            'EXCLUDE ItemID WHERE CurrentItem.GENRE IN ("x")',
            22,
            "CurrentItem is what Items are compared with: Items.GENRE IN CurrentItem.GENRE",
        ),
        (
            "EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN CurrentItem.GENRE",
            49,
            "Interactions cannot be compared with CurrentItem, only Items",
        ),
        (
            "EXCLUDE ItemID WHERE Items.YEAR = 1 IF CurrentUser.AGE = 1 OR CurrentUser.AGE = 2",
            60,
            "expected '|' or the end, not 'OR'; conditions after IF can only be joined by AND",
        ),
        (
            "EXCLUDE ItemID WHERE Items.YEAR = 1 IF CurrentUser.AGE = 1 IF CurrentUser.AGE = 2",
            60,
            "expected '|' or the end, not 'IF'",
        ),
        (
            "EXCLUDE ItemID WHERE Items.YEAR = 1 |",
            38,
            "expected INCLUDE or EXCLUDE, but the expression ends here",
        ),
        (
            'EXCLUDE ItemID WHERE Items.GENRES IN ("x")',
            22,
            "Items has no field GENRES; did you mean Items.GENRE?",
        ),
        (
            'EXCLUDE ItemID WHERE Items.COLOUR IN ("x")',
            22,
            "Items has no field COLOUR; it has ITEM_ID, GENRE, STUDIO, PRICE, YEAR, TEXT, ON_SALE",
        ),
        (
            'EXCLUDE ItemID WHERE Item.GENRE IN ("x")',
            22,
            "there is no dataset Item; did you mean Items.GENRE?",
        ),
        (
            "EXCLUDE ItemID WHERE Users.AGE = 1",
            22,
            "the expression can compare Items or Interactions, not Users; end it with IF "
            "CurrentUser.…",
        ),
        (
            "EXCLUDE ItemID WHERE CurrentUser.AGE = 1",
            22,
            "CurrentUser can only be compared after IF, at the end of the expression",
        ),
        (
            "EXCLUDE ItemID WHERE Items.YEAR = 1 IF Items.YEAR = 2",
            40,
            "after IF, CurrentUser alone can be compared",
        ),
        (
            'EXCLUDE ItemID WHERE Items.YEAR = 1 OR Interactions.EVENT_TYPE IN ("x")',
            40,
            "the expression began with Items and must keep to it; chain another by |",
        ),
        (
            'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("x") AND Items.YEAR = 1',
            59,
            "the expression began with Interactions and must keep to it; chain another by |",
        ),
        (
            'EXCLUDE ItemID WHERE Interactions.PLACE IN ("x")',
            22,
            "of Interactions, EVENT_TYPE alone can be compared",
        ),
        (
            'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE = "x"',
            46,
            'event types are matched by IN or NOT IN, e.g. IN ("click")',
        ),
        (
            'EXCLUDE ItemID WHERE Items.ON_SALE = "True"',
            22,
            "ON_SALE is a boolean; no filter can "
            'compare it. Make it a string "True" or "False", or an int 0 or 1, in the schema',
        ),
        (
            'EXCLUDE ItemID WHERE Items.TEXT IN ("x")',
            22,
            "TEXT is textual; no filter can compare it",
        ),
        (
            'EXCLUDE ItemID WHERE Items.GENRE > "x"',
            34,
            "> is for numbers, GENRE is a string; use IN or =",
        ),
        (
            "EXCLUDE ItemID WHERE Items.YEAR NOT IN (1)",
            33,
            "NOT IN is for strings, YEAR is of type int; use =",
        ),
        ('EXCLUDE ItemID WHERE Items.YEAR = "1"', 35, "YEAR is of type int, not a string; write 1"),
        ("EXCLUDE ItemID WHERE Items.GENRE IN (1)", 38, 'GENRE is a string; write "1"'),
        (
            'EXCLUDE ItemID WHERE Items.GENRE IN ("*")',
            38,
            '"*" stands for all event types, only of EVENT_TYPE',
        ),
        (
            "EXCLUDE ItemID WHERE Items.GENRE IN ($X) OR Items.YEAR = $X",
            58,
            "$X cannot be a number and a string; use two names",
        ),
        (
            "INCLUDE UserID WHERE Items.YEAR = 1",
            22,
            "the expression can compare Users or Interactions, not Items",
        ),
        (
            "INCLUDE UserID WHERE Users.AGE = 1 IF CurrentUser.AGE = 2",
            39,
            "IF is about the user who gets items; a UserID expression compares Users",
        ),
        (
            "INCLUDE UserID WHERE Users.AGE = 1 | INCLUDE ItemID WHERE Items.YEAR = 1",
            46,
            "the first expression has UserID; all must",
        ),
        (
            "INCLUDE UserID WHERE " + " OR ".join(f"Users.U{n} = 1" for n in range(11)),
            182,
            "a filter can compare at most 10 fields",
        ),
    ],
)
def test_an_expression_is_refused_with_its_position(
    account: Account, shop: str, expression: str, column: int, fault: str
) -> None:
    message = refused(account, expression)
    heading, line, caret = message.split("\n")
    assert heading == (
        f"Could not create filter. Invalid Expression: line 1, column {column}: {fault}"
    )
    assert caret.strip() == "^"
    below = line[len(caret) - 1 :].rstrip("…")
    assert expression[column - 1 :].startswith(below)
    assert bool(below) is not fault.endswith("ends here")


def test_all_faults_are_shown_with_line_and_caret(account: Account, shop: str) -> None:
    assert refused(
        account,
        'INCLUDE ItemID WHERE Items.GENRE IN ("日本")\n'
        "  AND Items.STUDIO NOT IN ($STUDIO)\n"
        '\tAND Items.GENRE IN ("日本", 5) | EXCLUDE ItemID WHERE Actions.ID IN ("x")',
    ).split("\n") == [
        "Could not create filter. Invalid input symbol: $STUDIO. Placeholders are not allowed with "
        "NOT_IN operator. line 2, column 28: use IN and the opposite of INCLUDE or EXCLUDE",
        "  AND Items.STUDIO NOT IN ($STUDIO)",
        "                           ^",
        'Invalid Expression: line 3, column 28: GENRE is a string; write "5"',
        '\tAND Items.GENRE IN ("日本", 5) | EXCLUDE ItemID WHERE Actions.ID IN ("x")',
        "\t" + " " * 28 + "^",
        "Invalid Expression: line 3, column 54: the expression can compare Items or "
        "Interactions, not Actions",
        '\tAND Items.GENRE IN ("日本", 5) | EXCLUDE ItemID WHERE Actions.ID IN ("x")',
        "\t" + " " * 54 + "^",
    ]


def test_of_a_long_line_the_part_around_the_fault_is_shown(account: Account, shop: str) -> None:
    listed = ", ".join(f'"{number}"' for number in range(100, 200))
    text = f"INCLUDE ItemID WHERE Items.GENRE IN ({listed}"
    _, line, caret = refused(account, f"{text}; {listed})").split("\n")
    assert line == f"…{text[-50:]}; {listed[:48]}…"
    assert caret == " " * 51 + "^"


FRAGMENTS = [
    *("INCLUDE", "exclude", "ItemID", "UserID", "WHERE", "IN", "NOT", "AND", "OR", "IF"),
    *("ActionID", "Actions.VALUE", "CurrentItem.GENRE", "CurrentItem.YEAR"),
    *("Items.GENRE", "Items.YEAR", "CurrentUser.AGE", "Users.PLAN", "Interactions.EVENT_TYPE"),
    *('"a"', '"*"', '"', "'", "$X", "1", "１", "日本", "\t", "(", ")", "=", "<=", ",", ".", "|"),
]


@settings(max_examples=300, deadline=None)
@given(
    st.text(min_size=1, max_size=2600)
    | st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), min_size=1)
    .map(" ".join)
    .filter(bool)
)
def test_any_text_is_a_filter_or_is_refused_as_invalid_input(
    account: Account, shop: str, text: str
) -> None:
    try:
        arn = account.personalize.create_filter(
            name="any", datasetGroupArn=GROUP, filterExpression=text
        )["filterArn"]
    except ClientError as error:
        fault = error.response["Error"]
        assert fault["Code"] == "InvalidInputException"
        assert fault["Message"].startswith(
            "Could not create filter. Invalid"
            if len(text) <= 2500
            else "1 validation error detected: "
        )
    else:
        account.settled("Filter", arn)
        account.delete("Filter", arn)


def test_a_filter_is_described_listed_tagged_and_deleted(account: Account, shop: str) -> None:
    expression = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")'
    arn = create(account, "described", expression)
    call = account.personalize
    assert arn == f"{PREFIX}:filter/described"
    described = call.describe_filter(filterArn=arn)["filter"]
    assert {name: described[name] for name in ("name", "datasetGroupArn", "filterExpression")} == {
        "name": "described",
        "datasetGroupArn": GROUP,
        "filterExpression": expression,
    }
    listed = call.list_filters(datasetGroupArn=GROUP)["Filters"]
    assert [(summary["name"], summary["status"]) for summary in listed] == [("described", "ACTIVE")]
    assert refusal(
        call.create_filter, name="described", datasetGroupArn=GROUP, filterExpression=expression
    ) == (
        "ResourceAlreadyExistsException",
        f"Another resource with Arn {arn} already exists.",
    )
    call.tag_resource(resourceArn=arn, tags=[{"tagKey": "team", "tagValue": "data"}])
    assert call.list_tags_for_resource(resourceArn=arn)["tags"][0]["tagValue"] == "data"
    account.delete("Filter", arn)
    gone = ("ResourceNotFoundException", f"Resource Arn {arn} does not exist.")
    assert refusal(call.describe_filter, filterArn=arn) == gone
    assert refusal(call.delete_filter, filterArn=arn) == gone


def test_a_group_has_thirty_filters_of_twenty_fields(account: Account, shop: str) -> None:
    call = account.personalize
    lost = f"{PREFIX}:dataset-group/lost"
    assert refusal(call.create_filter, name="f", datasetGroupArn=lost, filterExpression="x") == (
        "ResourceNotFoundException",
        f"Resource Arn {lost} does not exist.",
    )
    arns = [
        create(
            account,
            f"fields-{start}",
            "INCLUDE UserID WHERE "
            + " AND ".join(f"Users.U{number} = 1" for number in range(start, start + 10)),
        )
        for start in (0, 10)
    ]
    year = "INCLUDE ItemID WHERE Items.YEAR = 2000"
    assert refusal(call.create_filter, name="f", datasetGroupArn=GROUP, filterExpression=year) == (
        "LimitExceededException",
        f"The filters of {GROUP} would compare 21 fields; the quota is 20. Delete a filter first.",
    )
    account.delete("Filter", arns.pop())
    arns += [create(account, f"year-{number}", year) for number in range(29)]
    assert refusal(call.create_filter, name="f", datasetGroupArn=GROUP, filterExpression=year) == (
        "LimitExceededException",
        "The quota of 30 filters is reached; delete one first.",
    )
    pages = call.get_paginator("list_filters").paginate(
        datasetGroupArn=GROUP, PaginationConfig={"PageSize": 12}
    )
    assert [len(page["Filters"]) for page in pages] == [12, 12, 6]
    for arn in arns:
        account.delete("Filter", arn)


def test_a_group_lives_as_long_as_its_filters_and_knows_its_datasets(account: Account) -> None:
    call = account.personalize
    group = account.group("bare")
    schema = account.schema("bare", USERS)
    dataset = account.dataset("bare", "Users", schema)
    code, message = refusal(
        call.create_filter,
        name="bare",
        datasetGroupArn=group,
        filterExpression="INCLUDE ItemID WHERE Items.YEAR = 1",
    )
    assert (code, message.split("\n")[0]) == (
        "InvalidInputException",
        "Could not create filter. Invalid Expression: line 1, column 22: the dataset group has no "
        "Items dataset; create it first",
    )
    arn = create(account, "bare", 'EXCLUDE UserID WHERE Users.PLAN IN ("free")', group)
    assert refusal(call.delete_dataset, datasetArn=dataset) == (
        "ResourceInUseException",
        f"{dataset} is used by {arn} (ACTIVE); delete that first.",
    )
    account.delete("Filter", arn)
    account.delete("Dataset", dataset)
    account.delete("DatasetGroup", group)


def recommended(
    account: Account, name: str, version: str, lines: list[Any], **more: Any
) -> list[dict[str, Any]]:
    """Return the output of a batch inference job."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    source = account.put(f"filtered/{name}.json", text)
    job = account.infer(name, version, source, f"s3://data/filtered-{name}/", **more)
    assert job["status"] == "ACTIVE", job
    assert job.get("filterArn") == more.get("filterArn")
    key = f"filtered-{name}/{name}.json.out"
    body = account.s3.get_object(Bucket="data", Key=key)["Body"].read()
    return [json.loads(line) for line in body.splitlines()]


def test_a_filtered_user_still_gets_as_many_items(account: Account, shop: str) -> None:
    """The most popular are i39, i38, …; u7 applied to the first two."""
    arn = create(account, "applied", 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")')
    users = [{"userId": "u7"}, {"userId": "u8"}, {"userId": "stranger"}]
    free = recommended(account, "free", shop, users, numResults=4)
    filtered = recommended(account, "applied", shop, users, numResults=4, filterArn=arn)
    most = recommended(account, "most", shop, users[:1], numResults=500, filterArn=arn)
    account.delete("Filter", arn)
    assert [line["output"]["recommendedItems"] for line in free] == [
        ["i39", "i38", "i37", "i36"]
    ] * 3
    assert [line["output"]["recommendedItems"] for line in filtered] == [
        ["i37", "i36", "i35", "i34"],
        ["i39", "i38", "i37", "i36"],
        ["i39", "i38", "i37", "i36"],
    ]
    assert filtered[0]["output"]["scores"][:2] == free[0]["output"]["scores"][2:]
    assert most[0]["output"]["recommendedItems"] == [f"i{n:02}" for n in range(37, -1, -1)]
    assert len(most[0]["output"]["scores"]) == 38


def test_each_line_gives_the_values_of_the_placeholders(account: Account, shop: str) -> None:
    arn = create(
        account,
        "genres",
        "INCLUDE ItemID WHERE Items.GENRE IN ($GENRES) AND Items.PRICE < $PRICE "
        'IF CurrentUser.PLAN = "paid"',
    )
    values = [
        {"GENRES": '"war"', "PRICE": "6"},
        {"GENRES": '"comedy","war"', "PRICE": '"3"'},
        {"GENRES": '"horror"', "PRICE": "6"},
        {"GENRES": "war", "PRICE": '"a"'},
        {"GENRE": '"war"', "PRICE": 6},
        {"PRICE": '"1","2"', "OTHER": ""},
        ["war"],
    ]
    lines: list[Any] = [{"userId": "u1", "filterValues": filter_values} for filter_values in values]
    lines += [{"userId": "u1"}, {"userId": "u1", "filterValue": {}}]
    lines += [{"userId": "u2", "filterValues": values[0]}]
    results = recommended(account, "genres", shop, lines, numResults=3, filterArn=arn)
    account.delete("Filter", arn)
    assert [answer["input"] for answer in results] == lines
    assert [answer["output"] and answer["output"]["recommendedItems"] for answer in results] == [
        ["i05", "i03", "i01"],
        ["i02", "i01", "i00"],
        [],
        *[None] * 6,
        ["i39", "i38", "i37"],
    ]
    quoted = r'must be strings in quotes, e.g. "\"horror\""'
    assert [answer["error"] for answer in results] == [
        None,
        None,
        None,
        f"filterValues.GENRES {quoted}, not 'war'; "
        "filterValues.PRICE must be one number, not '\"a\"'",
        "filterValues.GENRE: the filter has no $GENRE; did you mean GENRES?; "
        "filterValues.GENRES is missing; filterValues.PRICE must be a string, not 6",
        "filterValues.OTHER: the filter has no $OTHER; leave it out; "
        'filterValues.GENRES is missing; filterValues.PRICE must be one number, not \'"1","2"\'',
        r'filterValues must be of the form {"GENRES": "\"horror\""}',
        "filterValues.GENRES is missing; filterValues.PRICE is missing",
        "filterValue: not supported by the local Personalize",
        None,
    ]


def test_one_value_is_compared_and_a_job_without_a_filter_takes_none(
    account: Account, shop: str
) -> None:
    arn = create(account, "one", "INCLUDE ItemID WHERE Items.GENRE = $GENRE")
    line = {"userId": "u1", "filterValues": {"GENRE": '"war","comedy"'}}
    filtered = recommended(account, "one", shop, [line], filterArn=arn)
    free = recommended(account, "none", shop, [line])
    account.delete("Filter", arn)
    assert filtered[0]["error"] == "filterValues.GENRE must be one string, not 2"
    assert free[0]["error"] == "filterValues: the job has no filter"


def test_a_job_takes_a_filter_of_items_of_its_own_group(
    account: Account, trained: dict[str, str], shop: str
) -> None:
    other = create(
        account,
        "other",
        'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("view")',
        trained["group"],
    )
    users = create(account, "users", "INCLUDE UserID WHERE Users.AGE > 18")
    related = create(account, "related", "INCLUDE ItemID WHERE Items.YEAR = CurrentItem.YEAR")

    def fault(arn: str) -> tuple[str, str]:
        return refusal(
            account.infer,
            job="wrong-filter",
            version=shop,
            source="s3://data/x",
            target="s3://data/y/",
            filterArn=arn,
        )

    faults = [fault(arn) for arn in (other, users, related, f"{PREFIX}:filter/lost")]
    for arn in (other, users, related):
        account.delete("Filter", arn)
    assert faults == [
        (
            "InvalidInputException",
            f"{other} is a filter of {trained['group']} and the solution version of {GROUP}; name "
            "a filter of the same group.",
        ),
        (
            "InvalidInputException",
            f"{users} is a filter of UserID; a recipe of type POPULAR_ITEMS needs one of ItemID.",
        ),
        (
            "InvalidInputException",
            f"{related} compares with CurrentItem; only recipes of type RELATED_ITEMS have one, "
            "this one is of type POPULAR_ITEMS.",
        ),
        (
            "ResourceNotFoundException",
            f"Resource Arn {PREFIX}:filter/lost does not exist.",
        ),
    ]


def test_a_filter_sees_the_data_of_the_time_of_the_job(account: Account, shop: str) -> None:
    arn = create(account, "new", 'INCLUDE ItemID WHERE Items.GENRE IN ("new")')
    user = [{"userId": "u1"}]
    before = recommended(account, "earlier", shop, user, filterArn=arn)
    header = "ITEM_ID,GENRE,STUDIO,PRICE,YEAR,TEXT,ON_SALE\n"
    more = account.put("shop/more.csv", header + "i20,old|new,,20,2000,,true\n")
    items = f"{PREFIX}:dataset/shop/ITEMS"
    assert account.load("more", items, more, importMode="INCREMENTAL")["status"] == "ACTIVE"
    after = recommended(account, "later", shop, user, filterArn=arn)
    account.delete("Filter", arn)
    assert [lines[0]["output"]["recommendedItems"] for lines in (before, after)] == [[], ["i20"]]


def test_a_filter_is_kept_while_a_job_uses_it(tmp_path: Path) -> None:
    met = [f"u{n % 60},i{n % 40:02},view,{n}\n" for n in range(1200)]
    header = "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n"
    bucket = Bucket(**{"events.csv": header + "".join(met), "in.json": '{"userId":"u0"}\n'})
    alone = Alone(tmp_path, bucket)
    try:
        group, (job,) = alone.import_events()
        assert alone.until("ACTIVE", "DescribeDatasetImportJob", **job) == "ACTIVE"
        solution = alone(
            "CreateSolution",
            name="s",
            datasetGroupArn=group,
            recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
        )
        alone.until("ACTIVE", "DescribeSolution", **solution)
        version = alone("CreateSolutionVersion", **solution)
        assert alone.until("ACTIVE", "DescribeSolutionVersion", **version) == "ACTIVE"
        chosen = alone(
            "CreateFilter",
            name="f",
            datasetGroupArn=group,
            filterExpression='INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("view")',
        )
        assert alone.until("ACTIVE", "DescribeFilter", **chosen) == "ACTIVE"
        bucket.open.clear()
        request = {
            "jobInput": {"s3DataSource": {"path": "s3://b/in.json"}},
            "jobOutput": {"s3DataDestination": {"path": "s3://b/out/"}},
            "roleArn": "arn:aws:iam::123456789012:role/r",
        }
        inference = alone("CreateBatchInferenceJob", jobName="j", **request, **version, **chosen)
        running = "CREATE IN_PROGRESS"
        assert alone.until(running, "DescribeBatchInferenceJob", **inference) == running
        deletion = alone("DeleteFilter", **chosen)
        assert (deletion["__type"], deletion["message"]) == (
            "ResourceInUseException",
            f"{PREFIX}:filter/f is used by {inference['batchInferenceJobArn']} "
            "(CREATE IN_PROGRESS); wait for it.",
        )
    finally:
        bucket.open.set()
        alone.service.close()
