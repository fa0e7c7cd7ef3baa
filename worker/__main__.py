"""`python -m worker`: run a worker, as `journey worker` does."""

import typer

from worker.cli import worker
from worker.command import run_app

app = typer.Typer(add_completion=False)
app.command(name="worker")(worker)

run_app(app)
