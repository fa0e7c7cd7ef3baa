"""The journeys as Temporal workflows, one file each. All of them share the other modules of this package."""
