"""Filters: which items a recommendation may hold.

The way of a filter: text → `syntax` → `rules`, which give the `Filter` of `expressions`, kept by
`resources` → `Eligibility`, which finds each user's items in the imported data.
"""

from localaws.personalize.filters.eligibility import Eligibility
from localaws.personalize.filters.expressions import Filter, Values
from localaws.personalize.filters.resources import Filters
from localaws.personalize.filters.rules import parse_filter
from localaws.personalize.filters.syntax import FilterError
from localaws.personalize.filters.user_eligibility import UserEligibility

__all__ = [
    "Eligibility",
    "Filter",
    "FilterError",
    "Filters",
    "UserEligibility",
    "Values",
    "parse_filter",
]
