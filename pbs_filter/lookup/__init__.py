"""How MTAs ask: `pbs-lookup` and what it is made of. Nothing is imported here (start-up time)."""
