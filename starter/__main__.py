"""`python -m starter`: the `journey` command."""

from starter.cli import main

main()
