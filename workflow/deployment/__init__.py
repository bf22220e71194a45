"""The workflow's resources on AWS: described as data, compared with AWS, and deployed."""
