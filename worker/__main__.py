"""`python -m worker`: run a worker, as `journey worker` does."""

from worker.cli import worker

worker()
