"""MTAs ask the map here: `pbs-lookup` and what it is made of. Nothing is imported here (start-up
time)."""
