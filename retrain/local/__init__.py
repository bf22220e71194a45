"""A whole retraining on one machine: a PostgreSQL, the local AWS, and a deployment on it."""
