"""Tables of retraining.toml that switch a part of the workflow on, or say how it behaves."""
