"""Tests of `recommenders.models`."""
