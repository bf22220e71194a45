"""Tests of `workflow.runs`."""
