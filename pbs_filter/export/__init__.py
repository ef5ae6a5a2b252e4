"""Files for MTAs that do not read the map."""
