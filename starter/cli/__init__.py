"""The `journey` command: `app` puts it together, one file for each command."""
