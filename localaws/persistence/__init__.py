"""Persistent state: documents, requests to repeat, executions that ended, S3's objects."""
