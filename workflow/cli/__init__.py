"""The command `retrain`; thin: it reads arguments, calls the library and prints.

`main` holds the list of commands, and the one place where an error becomes a message and an exit
code. What costs time to import is imported inside the command that needs it.
"""

from workflow.cli.main import app, main

__all__ = ["app", "main"]
