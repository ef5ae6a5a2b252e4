"""The commands of `pbs-filter`: one mode of the command line a module."""
