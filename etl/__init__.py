"""Database → Amazon Personalize files: the Spark job that runs on AWS Glue and on one machine.

`etl.datasets` (pure Python) describes the data sets, `etl.runtime` is the interface to AWS Glue or
to Spark on this machine, `etl.projection` and `etl.validation` map DataFrames to DataFrames,
`etl.extraction` is the job, `etl.job` its script, which starts `etl.java` before anything else.

PYTEST_DONT_REWRITE
"""
