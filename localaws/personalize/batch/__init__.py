"""Batch jobs: JSON lines on S3 → JSON lines of recommended items or users."""
