"""One endpoint for all services: AWS's protocols, by botocore's models, over HTTP or in process."""
