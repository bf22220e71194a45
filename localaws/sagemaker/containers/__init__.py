"""The containers of jobs: a private `/opt/ml` and the packages of an image of AWS."""
