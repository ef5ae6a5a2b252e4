"""One line of a syslog daemon becomes a record."""
