"""The recommenders, and what they are built of."""
