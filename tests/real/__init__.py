"""Tests against the real daemons, from Debian's packages, on loopback."""
