"""Tests of `recommenders.data`."""
