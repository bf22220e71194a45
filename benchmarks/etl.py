"""The Spark job against COPY: `python benchmarks/etl.py`; what it measures is in spark_job.py.

The scripts beside this file import the package of this name, which Python seeks here first: to them
this module gives the package.
"""

import sys

if __name__ == "__main__":
    from spark_job import main

    main()
else:
    from retrain.own_packages import reserve

    del sys.modules[__name__]
    reserve()
