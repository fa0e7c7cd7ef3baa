"""The programs that start journeys: the `journey` command, the stack of `journey dev`, and a demonstration."""
