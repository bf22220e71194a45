"""What the workflow needs on AWS: resources as data, compared with what is there, and deployed."""
