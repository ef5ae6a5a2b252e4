"""Servers that a site declares in its own configuration."""
