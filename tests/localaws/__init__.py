"""Tests of `localaws`."""
