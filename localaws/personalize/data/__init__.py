"""The data of datasets: schemas, rows, and the files that they are read from and written to."""
