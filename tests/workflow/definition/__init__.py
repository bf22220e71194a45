"""Tests of `workflow.definition`."""
