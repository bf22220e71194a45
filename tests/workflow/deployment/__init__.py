"""Tests of `workflow.deployment`."""
