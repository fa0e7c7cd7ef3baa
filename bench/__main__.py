"""`python -m bench`."""

import typer

from bench.command import bench
from worker.process_lifecycle import run_and_exit

app = typer.Typer(add_completion=False)
app.command()(bench)
if __name__ == "__main__":
    run_and_exit(lambda: app(prog_name="python -m bench"))
