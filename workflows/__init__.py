"""The journeys as Temporal workflows, one file each, and what they share: inbox, idle timer, rollover, activities."""
