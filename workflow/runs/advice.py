"""What to do about a failed run: a table from what AWS, the job or a handler said to a next step.

The first row whose pattern occurs in `ERROR: cause` is meant; the order is from exact to general.
"""

from __future__ import annotations

import re

_ROWS: tuple[tuple[str, str], ...] = (
    (
        r"StoppedByHand|ExecutionAborted",
        "It was stopped. 'retrain start' begins a new run; what was published stays published.",
    ),
    (
        r"break a rule|max_rejected_share",
        "Look at the rejected rows under s3://{bucket}/runs/{run}/rejected/, then mend the rows or"
        " the column's expression, or raise etl.max_rejected_share.",
    ),
    (
        r"does not exist in the database|has no column|relation \"[^\"]+\" does not exist"
        r"|Table '[^']+' doesn't exist|cannot be resolved",
        "Correct the name in the configuration, or grant the connection's user SELECT on the table;"
        " then 'retrain deploy' (the job's specification is uploaded by it) and 'retrain start'.",
    ),
    (
        r": no rows;|nobody to recommend for",
        "The query found nothing: look at the filter and the inner joins of that table.",
    ),
    (
        r"fewer than [\d,]+ interactions",
        "Personalize wants 1,000 interactions after filtering by event type: widen"
        " datasets.interactions.filter, leave solution.event_type out, or gather more events.",
    ),
    (
        r"fewer than 25 users",
        "Personalize wants 25 users with at least 2 interactions each: widen"
        " datasets.interactions.filter, or gather more events.",
    ),
    (
        r"missing the following columns|schema",
        "The data set's schema on Personalize is not the one of the configuration: 'retrain plan'"
        " shows the difference and what Personalize allows.",
    ),
    (
        r"[Ii]nvalid (Data location|S3 (input|output) path)",
        "Personalize cannot use that S3 path: look whether the run's ETL wrote it, and whether the"
        " bucket's policy and the personalize role still allow it ('retrain plan').",
    ),
    (
        r"AccessDenied|not authorized to perform|UnauthorizedOperation|\(403\)|Forbidden",
        "A role lacks a permission: 'retrain permissions' prints what each role needs, 'retrain"
        " plan' shows what drifted, 'retrain deploy' mends it. A permission boundary or an"
        " organisation's policy can forbid it too.",
    ),
    (
        r"password authentication failed|Access denied for user",
        "The database refuses the user: renew the password in the Glue connection"
        " '{connection}' or in its secret.",
    ),
    (
        r"[Cc]onnection (to \S+ )?(refused|timed out|attempt failed)|Communications link failure"
        r"|UnknownHost|could not translate host name|Could not connect",
        "The job does not reach the database: look at the Glue connection '{connection}': host,"
        " port, subnet, and a security group that lets the job in.",
    ),
    (
        r"ManifestNotFound",
        "The run's ETL did not finish. Start a new run; a run's name is never used twice.",
    ),
    (
        r"NoRecommendations",
        "The filter took everything away, so the published list was kept: look at"
        " filter.eligible_items and filter.exclusions, or raise batch_inference.num_results.",
    ),
    (
        r"EntityNotFoundException|Function not found|Lambda\.ResourceNotFoundException"
        r"|ImportModuleError|HandlerNotFound|NoSuchBucket",
        "Something that the workflow uses is not deployed: 'retrain plan' says what, 'retrain"
        " deploy' makes it.",
    ),
    (
        r"ConcurrentRunsExceeded",
        "Another run's Spark job is still going: 'retrain executions' shows it.",
    ),
    (
        r"LimitExceeded|PENDING or IN_PROGRESS",
        "A quota is used up, for an hour and more: wait until other Personalize jobs end, lower"
        " import_concurrency, or ask AWS for a higher quota.",
    ),
    (
        r"ResourceInUse",
        "Somebody else changes the same resource: start a new run when that has ended.",
    ),
    (
        r"Runtime\.ExitError|signal: killed|OutOfMemory|exceeding memory limits|exit code 137",
        "Memory was not enough. For the Spark job raise etl.worker_type or etl.workers and"
        " etl.partitions; for Filter Recommended Item lower batch_inference.num_results.",
    ),
    (
        r"Task timed out after|Sandbox\.Timedout|States\.Timeout|TimedOut|TIMEOUT",
        "A time limit was reached. For the Spark job raise etl.timeout_minutes or etl.workers, for"
        " the whole run timeout_hours; a function runs 15 minutes at the longest.",
    ),
    (
        r"Throttl|TooManyRequests|Rate exceeded|ServiceUnavailable|InternalServer|InternalFailure"
        r"|ServiceException|SlowDown",
        "A passing fault of AWS that outlived the retries: start a new run.",
    ),
    (
        r"States\.(Runtime|ParameterPathFailure|ResultPathMatchFailure|NoChoiceMatched"
        r"|IntrinsicFailure|DataLimitExceeded)",
        "The definition does not fit the data in it: 'retrain diff' shows whether what is deployed"
        " is what was reviewed.",
    ),
)
_OTHERWISE = (
    "Mend what the cause says, then 'retrain start'. The last published recommendations stay as"
    " they are until a run succeeds."
)


def advice(error: str, cause: str, *, bucket: str, run: str, connection: str) -> str:
    """Return what to do next about a failure.

    Args:
        error: the error's name, for example `DatasetImportFailed`.
        cause: the reason in the words of whoever raised it.
        bucket: the runs' bucket.
        run: the execution's name.
        connection: the Glue connection's name.
    """
    said = f"{error}: {cause}"
    found = next((text for pattern, text in _ROWS if re.search(pattern, said)), _OTHERWISE)
    return found.format(bucket=bucket, run=run, connection=connection)
