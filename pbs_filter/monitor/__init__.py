"""Values, warnings and metrics of a running filter."""
