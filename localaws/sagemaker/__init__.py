"""The local Amazon SageMaker: jobs that run scripts in processes of this machine."""
