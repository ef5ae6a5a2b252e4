"""Compiles the modules on the way of a line with mypyc, where PBS_FILTER_COMPILE=1 asks for it.

The pure build is the default and the reference; pyproject.toml says everything else.
"""

import os
import sys
from glob import glob

from setuptools import setup

COMPILED = [
    *(f"pbs_filter/syslog/{name}.py" for name in ("json_records", "message", "records", "scanner")),
    *(f"pbs_filter/grammar/{name}.py" for name in ("carriage", "dispatch", "matcher", "observe")),
    *(name for name in sorted(glob("pbs_filter/authorisation/*.py")) if "__init__" not in name),
]
"""Not in it: `map_format`, which lookups import one by one (mypyc 1.15 cannot index by a slice)."""

if os.environ.get("PBS_FILTER_COMPILE") == "1":
    extensions = []
    # These two ask what the build needs, before it is there.
    if not {"egg_info", "dist_info"}.intersection(sys.argv[1:2]):
        from mypyc.build import mypycify

        extensions = mypycify(
            ["--no-warn-unused-ignores", *COMPILED], group_name="pbs_filter", strip_asserts=False
        )
    # mypy reads what the modules import, too.
    setup(setup_requires=["mypy>=1.15", "pyparsing>=3.0.9", "netaddr>=0.8"], ext_modules=extensions)
else:
    setup()
