"""Repairs to moto, a module for each subject; `repairs` installs them."""
