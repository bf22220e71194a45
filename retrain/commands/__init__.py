"""The commands, a module for each group; what costs time to import is imported inside a command."""
