"""Tests of `recommenders.evaluation`."""
