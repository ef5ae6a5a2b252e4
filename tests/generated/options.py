"""What is made from the declaration of the options: the example file and the manual pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pbs_filter.config.render import example
from pbs_filter.manual.__main__ import texts

FILES: dict[str, Callable[[], str]] = {
    "examples/pbs-filter.toml": example,
    **{f"pbs_filter/manual/share/{name}": partial(str, text) for name, text in texts().items()},
}
"""Path in the checkout -> what makes it."""
