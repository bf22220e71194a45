"""Tests of `lambdas`."""
