"""The running filter: it reads lines, keeps journal and map, and acknowledges."""
