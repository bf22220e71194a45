"""Filters: the items, actions or users that recommendations may hold.

A filter's text is parsed by `syntax` and checked by `rules`, which return the `Filter` of
`expressions`; `resources` keeps it, and `Eligibility` evaluates it on the imported rows.
"""

from localaws.personalize.filters.eligibility import Eligibility
from localaws.personalize.filters.expressions import Filter, Values
from localaws.personalize.filters.resources import Filters
from localaws.personalize.filters.rules import parse_filter
from localaws.personalize.filters.syntax import FilterError

__all__ = ["Eligibility", "Filter", "FilterError", "Filters", "Values", "parse_filter"]
