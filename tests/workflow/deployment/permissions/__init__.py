"""Tests of least privilege: every call of a deployment and its runs against the policies."""
