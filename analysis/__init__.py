"""A run's data and recommendations: files → DataFrames → tables and plots.

- `frames`: a run's files, from S3 or a directory, as DataFrames with documented columns;
- `data_profile`: counts, sparsity, popularity, cold users and items, Personalize's minimums;
- `metrics`: versions side by side with the baseline, metrics on later events, intervals;
- `recommendations`: coverage, popularity bias, lists beside histories, similar items, changes;
- `plots` and `tables`: the same for people;
- `run_record` and `report`: what is known of a run, and its page;
- `notebooks`: executes the notebooks that show all of it.

Reads only; nothing here changes anything on AWS. Functions take DataFrames and return DataFrames,
so that notebooks and reports hold no code of their own.

PYTEST_DONT_REWRITE
"""
