"""Tests of `localaws.glue`."""
