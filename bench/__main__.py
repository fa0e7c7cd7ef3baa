"""`python -m bench`: as `journey bench`."""

import typer

from bench.command import bench
from worker.process import run_and_exit

app = typer.Typer()
app.command()(bench)
run_and_exit(app)
