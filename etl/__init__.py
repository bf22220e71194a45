"""Database → Amazon Personalize files: the Spark job that runs on AWS Glue and on one machine.

`etl.datasets` (pure Python) says what a data set is, `etl.runtime` is the port between the job and
the place where it runs, `etl.transforms` maps DataFrames to DataFrames, `etl.job` is the job.
"""
