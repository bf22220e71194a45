"""Resources: their records, quotas, jobs and persistence."""
