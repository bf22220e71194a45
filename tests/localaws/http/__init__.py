"""Tests of `localaws.http`."""
