"""`python -m starter`: the `journey` command."""

from starter.cli.app import main

if __name__ == "__main__":
    main()
