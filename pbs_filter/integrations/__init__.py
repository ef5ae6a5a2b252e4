"""One MTA or syslog daemon a module: where it is, what it needs, how it asks."""
