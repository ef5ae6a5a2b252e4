"""How fast the filter is: `python -m tests.bench`.

The figures of a full run are in `results.json`. `inputs` makes the logs (seeded), `measure` takes
the CPU time of programs, `stages` that of the filter's parts, `rows` has a row for each target.
"""
