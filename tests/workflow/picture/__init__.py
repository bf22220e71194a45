"""Tests of `workflow.picture`."""
