"""What exists: every resource's record, its quotas, its jobs, and how it is kept."""
