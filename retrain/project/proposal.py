"""A database's description → the configuration that fits it best, and what was guessed.

Pure: the description goes in, data sets as the job knows them come out, with a sentence for each
guess. Where it is not sure it asks; who answers is the caller's matter.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from etl.datasets import Join, Lookup, Relation
from retrain.project import sql
from retrain.project.bridges import bridge_notes
from retrain.project.conditions import Condition, conditions
from retrain.project.database.schema import Schema, TableFacts
from retrain.project.errors import ProjectError
from retrain.project.interactions import ProposedEvents, proposed_events
from retrain.project.metadata import described, id_source
from retrain.project.parts import Ask, Part, Proposal, Question
from retrain.project.personal import LANGUAGES
from retrain.project.roles import Events, possible_events

_NEAR = 0.5  # of the best score: a table that is so near is asked for
_ACTIVE = 0.2  # of the users: if fewer have events, recommendations are made for these alone
_YES, _NO = "yes", "no"


def propose(schema: Schema, ask: Ask, *, name: str = "") -> Proposal:
    """Propose a configuration.

    Args:
        schema: The database's description.
        ask: Answers a question with one of its choices.
        name: The configuration's name; made of the database's if empty.

    Raises:
        ProjectError: If no table looks like events, or the one that does has no rows.
    """
    events, others = _events(schema, ask)
    proposed = proposed_events(schema, events)
    users, items = (_filled(target) for target in (events.users, events.items))
    user_rules = _rules(users, "users", ask)
    item_rules = _rules(items, "items", ask)
    exclusions, types = _exclusions(events, proposed, ask)
    return Proposal(
        name=_name(name or schema.database),
        engine=schema.engine,
        users=users and _users(schema, events, users, user_rules),
        items=items and _items(schema, events, items, item_rules),
        interactions=replace(proposed.part, guesses=(*proposed.part.guesses, *others)),
        batch_input=_batch_input(schema, events, proposed, users, user_rules),
        eligible_items=_eligible_items(items, item_rules) if items and item_rules else None,
        exclusions=exclusions,
        excluded_types=types,
    )


def _events(schema: Schema, ask: Ask) -> tuple[Events, tuple[str, ...]]:
    """Return the chosen events, and a sentence on the tables that were not chosen."""
    possible = possible_events(schema)
    if not possible:
        tables = ", ".join(table.name for table in schema.tables)
        raise ProjectError(
            f"database '{schema.database}': no table looks like events: rows that refer to a user"
            " and to an item, and have a time. Describe yours in retraining.toml by hand: in a view"
            f" of the database, if it takes more than joins. Tables: {tables}"
        )
    filled = [each for each in possible if each.table.rows]
    if not filled:
        names = ", ".join(each.table.name for each in possible)
        raise ProjectError(
            f"database '{schema.database}': {names}: looks like events, and has no rows; fill it"
            " first, as the proposal is made of values"
        )
    near = [each for each in filled if each.score >= _NEAR * filled[0].score]
    chosen = near[0]
    if len(near) > 1:
        choices = {each.table.name: _meaning(each) for each in near}
        answer = ask(Question("Which table holds the events?", choices))
        chosen = next(each for each in near if each.table.name == answer)
    described = {target[0].name for target in (chosen.users, chosen.items) if target}
    others = {each.table.name for each in filled} - {chosen.table.name} - described
    sentence = f"{', '.join(sorted(others))}: could be events too; one table is read"
    return chosen, (sentence,) if others else ()


def _meaning(events: Events) -> str:
    return (
        f"{events.user.column.name}, {events.item.column.name}, {events.time.column.name};"
        f" {events.table.rows:,} rows"
    )


def _filled(target: tuple[TableFacts, str] | None) -> tuple[TableFacts, str] | None:
    """Return a table and its key, None for a table without rows."""
    return target if target and target[0].rows else None


def _rules(
    target: tuple[TableFacts, str] | None, of: Literal["users", "items"], ask: Ask
) -> tuple[Condition, ...]:
    """Return the conditions on users, or on eligible items, that are confirmed."""
    if target is None:
        return ()
    table, _ = target
    noun = "to users" if of == "users" else "items"
    return tuple(
        rule
        for rule in conditions(table.own_name, table, of=of)
        if ask(
            Question(
                f"Recommend only {noun} with {rule.sql}?",
                {_YES: f"{rule.share:.0%} of the rows", _NO: "all of them"},
            )
        )
        == _YES
    )


def _users(
    schema: Schema, events: Events, users: tuple[TableFacts, str], rules: tuple[Condition, ...]
) -> Part | None:
    table, key = users
    part = described(
        schema,
        "USERS",
        table,
        key,
        conditions=[rule.sql for rule in rules],
        used=[rule.column for rule in rules],
        avoid=_avoided(events, table),
    )
    guesses = (
        f"the users are the rows of {table.name}",
        f"personal columns are known by words of {LANGUAGES}, and by values; look whether one is"
        " still in",
        *(f"users count only where {r.sql}" for r in rules),
    )
    return part and replace(part, guesses=guesses)


def _items(
    schema: Schema, events: Events, items: tuple[TableFacts, str], rules: tuple[Condition, ...]
) -> Part | None:
    table, key = items
    part = described(
        schema,
        "ITEMS",
        table,
        key,
        conditions=[],  # what is no longer recommended still says what people like
        used=[rule.column for rule in rules],
        avoid=_avoided(events, table),
    )
    return part and replace(
        part,
        guesses=(f"the items are the rows of {table.name}", *bridge_notes(schema, events, table)),
    )


def _avoided(events: Events, table: TableFacts) -> set[str]:
    both = {target[0].name for target in (events.users, events.items) if target}
    return {events.table.name, *(both - {table.name})}


def _batch_input(
    schema: Schema,
    events: Events,
    proposed: ProposedEvents,
    users: tuple[TableFacts, str] | None,
    rules: tuple[Condition, ...],
) -> Part:
    """Return the users to recommend for: those of the users' table, or those with events."""
    if users and schema.active_users.get(events.table.name, 1.0) >= _ACTIVE:
        table, key = users
        relation = Relation(table.name, filter=" AND ".join(rule.sql for rule in rules))
        columns = {"USER_ID": id_source(table.own_name, table.by_name[key])}
        guess = f"recommendations are made for every user of {table.name}"
        guess += " that counts" if rules else ""
        return Part(Lookup("batch-input/", relation, columns), (guess,))
    relation = replace(proposed.relation, partition_column="")
    if users and rules:
        table, key = users
        left = f"{events.user.table.own_name}.{events.user.column.name}"
        alias = "" if table.own_name != events.table.own_name else "users"
        joined = Join(table.name, "inner", {left: key}, alias)
        filters = filter(None, (relation.filter, *(rule.sql for rule in rules)))
        joins = (*relation.joins, joined)
        relation = replace(relation, joins=joins, filter=" AND ".join(filters))
    why = "few users have events" if users else "there is no table of users"
    guess = f"{why}: recommendations are made for the users of events"
    return Part(Lookup("batch-input/", relation, {"USER_ID": proposed.user}), (guess,))


def _eligible_items(items: tuple[TableFacts, str], rules: tuple[Condition, ...]) -> Part:
    table, key = items
    relation = Relation(table.name, filter=" AND ".join(rule.sql for rule in rules))
    columns = {"ITEM_ID": id_source(table.own_name, table.by_name[key])}
    guesses = tuple(f"items are recommended only where {rule.sql}" for rule in rules)
    return Part(Lookup("filter/eligible-items/", relation, columns), guesses)


def _exclusions(
    events: Events, proposed: ProposedEvents, ask: Ask
) -> tuple[Part | None, tuple[str, ...]]:
    """Return the pairs that are never recommended, and the types of events that they come from."""
    types = proposed.final_types
    if not types and not proposed.are_all_final:
        return None, ()
    done = " or ".join(f"'{kind}'" for kind in types) or proposed.part.what.columns[3].source  # type: ignore[index,union-attr]
    question = Question(
        f"Leave out of a user's list what has an event of type {done} of theirs?",
        {_YES: "nobody gets it again", _NO: "it may come again"},
    )
    if ask(question) == _NO:
        return None, ()
    rules = list(proposed.filters)
    if types:
        rules.insert(0, sql.one_of(proposed.type_column, types))
    relation = replace(proposed.relation, filter=" AND ".join(rules))
    columns = {"USER_ID": proposed.user, "ITEM_ID": proposed.item}
    guess = f"a user is not recommended again what has an event of type {done} of theirs"
    return Part(Lookup("filter/exclusions/", relation, columns), (guess,)), types


def _name(text: str) -> str:
    """Return a configuration's name: lower-case letters, digits and hyphens, at most 24."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:24].strip("-")
    return plain or "recommendations"
