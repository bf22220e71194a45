"""A local Amazon Personalize that really imports, trains, measures and recommends."""

from localaws.personalize.resources.jobs import JobProgress
from localaws.personalize.resources.quotas import Quotas
from localaws.personalize.service import Personalize

__all__ = ["JobProgress", "Personalize", "Quotas"]
