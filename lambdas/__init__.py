"""The Lambda handlers of the workflow; they import boto3 and the standard library alone.

Each module holds functions that take their clients, and a `handler(event, context)` that makes
them. A handler that creates a job and the one that polls its status return the same object:
`{"arn", "status", "waitSeconds", "failureReason"}`.

PYTEST_DONT_REWRITE
"""
