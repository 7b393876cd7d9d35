"""YAML launch files: reading them, checking them, and running what they say."""
