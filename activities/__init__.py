"""The intents of the journeys as Temporal activities, one file for each journey. They use the adapters in `stores`."""
