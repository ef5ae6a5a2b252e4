"""pbs-filter: POP-before-SMTP as a filter behind the syslog daemon.

Nothing is imported here: `pbs-lookup` starts for every SMTP connection at some sites, and what this
file imports, it pays for.
"""

__version__ = "0.2.0"
