"""The database of countries (edge): a file in MaxMind's format, by the library maxminddb."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..errors import ConfigError

REMEMBERED = 65_536
"""Addresses whose country is not looked up a second time."""
NO_LIBRARY = (
    "geoip_database needs the Python package maxminddb, which is not installed: install "
    "python3-maxminddb (Debian), or pip install 'pbs-filter[geoip]'; or leave geoip_database empty"
)


def country_of(path: str, say: Callable[[str], None]) -> Callable[[str], str]:
    """The function that tells the country of an address, by the file as it is now.

    All of it is read into memory (some MiB): whoever changes the file does not disturb the filter.
    `say` takes trouble with a look-up; the address then has no country.

    Raises:
        ConfigError: the library is missing, or the file is, or it is no such database.
    """
    try:
        import maxminddb
    except ImportError:
        raise ConfigError(NO_LIBRARY) from None
    try:
        reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except OSError as error:
        raise ConfigError(
            f"geoip_database: cannot read {path!r}: {error.strerror}; geoipupdate(1) fetches "
            "GeoLite2-Country.mmdb"
        ) from None
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ConfigError(
            f"geoip_database: {path!r} is no MaxMind database (.mmdb): {error}"
        ) from None

    @lru_cache(REMEMBERED)
    def look_up(address: str) -> str:
        try:
            return _country(reader.get(address.partition("/")[0]))
        except Exception as error:  # any: a damaged file must not stop the filter
            say(f"geoip_database: {path!r}: no country for {address}: {error!r}")
            return ""

    return look_up


def _country(record: Any) -> str:
    """The ISO code in a record of MaxMind's, DB-IP's (`country.iso_code`) or IPinfo's form."""
    if not isinstance(record, dict):
        return ""
    found = record.get("country_code") or record.get("country")
    if isinstance(found, dict):
        found = found.get("iso_code")
    return found if isinstance(found, str) and found.isalpha() and len(found) == 2 else ""
