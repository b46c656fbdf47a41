"""The product: settings, URLs, the processes and the command line."""
