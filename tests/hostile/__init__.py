"""Messages that are meant to stop a session, from its owner and from strangers: `make hostile` sends all of them."""
