"""The scripts of packaged models in SageMaker's script mode: `train.py` and `inference.py`.

They stand in the root of a source, beside the package `recommenders`, and are not imported here.
"""
