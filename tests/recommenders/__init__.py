"""Tests of `recommenders`."""
