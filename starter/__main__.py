"""`python -m starter`: the `journey` command."""

from starter.cli.app import main

main()
