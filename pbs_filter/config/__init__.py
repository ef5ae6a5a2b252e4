"""The configuration: its options, how they are loaded and shown."""
