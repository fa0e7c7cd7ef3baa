"""The journeys as Temporal workflows, one file each, and how they run their activities."""
