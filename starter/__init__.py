"""What starts journeys: the `journey` command, the stack of `journey dev`, and a demonstration of both."""
