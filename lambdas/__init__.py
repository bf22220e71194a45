"""The handlers that the workflow calls; boto3 and the standard library alone.

Each module holds a pure core and a `handler(event, context)` that owns the clients. What creates a
job and what looks at one answer the same shape: `{"arn", "status", "waitSeconds",
"failureReason"}`.
"""
