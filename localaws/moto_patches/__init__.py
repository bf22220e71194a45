"""Repairs to moto, a module for each subject; `repairs` installs them.

They are of moto's interpreter of state machines, which is imported here before anything of it is.
"""

from localaws.moto_patches.interpreter import stepfunctions_parser_backends

__all__ = ["stepfunctions_parser_backends"]
