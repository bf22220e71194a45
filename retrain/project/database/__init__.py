"""A database, read and described: tables, columns, keys, references, some values."""
