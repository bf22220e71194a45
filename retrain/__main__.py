"""`python -m retrain` is the command `retrain`."""

from retrain.main import main

main()
