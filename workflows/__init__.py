"""The journeys as Temporal workflows. All of them share the modules that are not named after a journey."""
