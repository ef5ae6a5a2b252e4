"""The files of rsyslog/, syslog-ng/ and examples/ are found here (edge).

In a checkout they stand beside the package; a wheel or the Debian package puts them below
PREFIX/share/pbs-filter, with the same names.
"""

from __future__ import annotations

import os

from ..errors import ConfigError

WITNESS = "rsyslog/pbs-filter.conf"


def places(
    package: str = os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
) -> tuple[str, ...]:
    """Return the directories that may hold them, for the `package` directory: the first that does
    is it.

    PREFIX/lib/python3.11/site-packages/pbs_filter (a venv, --user) and
    /usr/lib/python3/dist-packages/pbs_filter (Debian) lead to their PREFIX alike.
    """
    parent = os.path.dirname(package)
    prefix = os.path.normpath(os.path.join(parent, "..", "..", ".."))
    return parent, os.path.join(prefix, "share", "pbs-filter"), "/usr/share/pbs-filter"


def directory(among: tuple[str, ...] | None = None) -> str:
    """Return the directory that holds them.

    Raises:
        ConfigError: none does.
    """
    looked = places() if among is None else among
    for place in looked:
        if os.path.exists(os.path.join(place, WITNESS)):
            return place
    raise ConfigError(
        f"the files that came with pbs-filter are not there: no {WITNESS} in {', '.join(looked)}; "
        "install it again"
    )


def texts(names: tuple[str, ...]) -> dict[str, str]:
    """Return the shipped files `names` (`examples/postfix/main.cf`).

    Raises:
        ConfigError: one is missing or cannot be read.
    """
    place = directory()
    found = {}
    for name in names:
        try:
            with open(os.path.join(place, name), encoding="utf-8") as file:
                found[name] = file.read()
        except OSError as error:
            raise ConfigError(
                f"cannot read {os.path.join(place, name)!r}: {error.strerror}; install it again"
            ) from None
    return found
