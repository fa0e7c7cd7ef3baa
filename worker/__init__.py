"""The process that runs workflows and activities, and the plugin with which a worker of your own can run them."""
