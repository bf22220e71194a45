"""Tests of `localaws.sagemaker`."""
