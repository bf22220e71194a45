"""What Amazon Personalize documents and the workflow has to know of it."""

from __future__ import annotations

FAILED_STATUSES = ("CREATE FAILED", "CREATE STOPPED")
"""The statuses besides ACTIVE that no other follows; only a solution version is ever stopped."""
