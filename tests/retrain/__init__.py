"""Tests of `retrain`."""
