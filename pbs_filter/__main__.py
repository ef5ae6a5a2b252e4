"""`python -m pbs_filter` is `pbs-filter`."""

import sys

from .cli import main

sys.exit(main())
