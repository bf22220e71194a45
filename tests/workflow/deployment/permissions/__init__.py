"""Least privilege, proven: every call of a whole life, held against the policies."""
