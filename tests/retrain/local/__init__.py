"""Tests of `retrain.local`."""
