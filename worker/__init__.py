"""The process that runs workflows and activities, and the plugin that a worker of your own needs to run them."""
