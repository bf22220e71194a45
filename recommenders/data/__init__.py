"""Training data: ids, interactions, metadata, and events with actions."""
