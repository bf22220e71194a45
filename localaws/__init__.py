"""AWS on one machine: local services that speak AWS's own protocols and do the real work.

PYTEST_DONT_REWRITE
"""
