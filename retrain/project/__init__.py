"""A team's project: what a database looks like, the configuration proposed for it, its files."""
