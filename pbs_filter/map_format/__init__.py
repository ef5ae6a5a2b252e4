"""The format of the map, which the filter writes and the lookups read."""
