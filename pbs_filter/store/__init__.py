"""Journal, map and lock: generic stores that know nothing of logins."""
