"""The `journey` command. `app` puts it together from one file for each command."""
