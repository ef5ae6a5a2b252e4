"""The protocols in which MTAs ask whether an address may relay."""
