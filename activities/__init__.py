"""The intents of the journeys as Temporal activities, one file for each journey, on the adapters of `stores`."""
