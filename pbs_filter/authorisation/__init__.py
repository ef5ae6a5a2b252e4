"""One record becomes a decision: which address may relay, until when, and why."""
