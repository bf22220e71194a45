"""The command `retrain`, and the run of a whole retraining on one machine.

`main` holds the list of commands; `commands` reads arguments, calls the libraries and prints;
`local` composes the local AWS, a database and a deployment. No other package imports this one.

PYTEST_DONT_REWRITE
"""
