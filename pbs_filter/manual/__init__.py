"""Manual pages and shell completion, made from what `--help` is made from: they cannot differ.

`python -m pbs_filter.manual` writes them into `share/` beside this file; a test fails while what is
there is stale.
"""
