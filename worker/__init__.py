"""The process that runs journeys, and what it needs around it: settings, migrations, an embedded stack."""
