"""AWS Glue: jobs that run as processes of this machine."""
