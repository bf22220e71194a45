"""Tests of `localaws.functions`."""
