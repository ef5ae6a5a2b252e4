"""The package makes a record of one line of a syslog daemon."""
