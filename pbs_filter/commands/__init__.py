"""The modes of pbs-filter: each module has `run(config, options) -> exit status`."""
