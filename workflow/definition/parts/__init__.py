"""The stages of the workflow that stand beside the retraining itself, a module for each."""
