"""What a data directory keeps for the next start."""
