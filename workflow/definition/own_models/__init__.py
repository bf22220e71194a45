"""A team's own models on SageMaker: their source, their images, and the SDK's steps of jobs."""
