"""The data sets: schemas, CSV files, rows and their store."""
