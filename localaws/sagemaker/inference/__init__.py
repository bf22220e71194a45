"""Predictions of a model in a container, for the records of a batch."""
