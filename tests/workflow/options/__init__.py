"""Tests of `workflow.options`."""
