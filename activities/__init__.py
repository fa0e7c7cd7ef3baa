"""The intents of the journeys as Temporal activities. They use the adapters in `stores`."""
