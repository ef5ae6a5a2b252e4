"""The example file and the manual pages are made from the declaration of the options."""

from __future__ import annotations

from collections.abc import Callable

from pbs_filter.config.render import example

from . import manual

FILES: dict[str, Callable[[], str]] = {
    "examples/pbs-filter.toml": example,
    "examples/man/pbs-filter.8": manual.filter_page,
    "examples/man/pbs-lookup.8": manual.lookup_page,
    "examples/man/pbs-filter.toml.5": manual.toml_page,
}
"""Path in the checkout -> what makes it."""
