"""One file for each agent. A new file is a new agent."""
