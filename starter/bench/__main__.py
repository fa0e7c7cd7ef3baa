"""`python -m starter.bench`: as `journey bench`."""

import typer

from starter.bench.command import bench
from worker.command import run_app

app = typer.Typer()
app.command()(bench)
run_app(app)
