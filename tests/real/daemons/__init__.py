"""The real daemons, one module each; what they share is in `process` and `server`."""
