"""Maps for the tests of the MTA side, written as the filter writes them."""

from __future__ import annotations

import _gdbm
import time
from binascii import crc32
from collections.abc import Mapping
from pathlib import Path

from pbs_filter.map_format.completeness import boot_id
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.map_clock import line_with_sum

LIVING = 36_000  # longer than all tests take
EXPIRED = -5


def value(seconds: int = LIVING, *, user: str = "bob@example.org", sessions: int = 0) -> Entry:
    """An entry whose end is `seconds` from now."""
    now = int(time.time())
    begin = min(now, now + seconds) - 60
    return Entry(now + seconds, begin, begin, begin, sessions, "dovecot", "imap", user)


def write(path: Path | str, entries: Mapping[str, bytes | Entry]) -> None:
    """Make the map at `path`, or add to it; open only meanwhile, like the filter's."""
    with _gdbm.open(str(path), "c", 0o640) as database:
        for address, entry in entries.items():
            database[address] = encode(address, entry) if isinstance(entry, Entry) else entry
        database.sync()
    state(path)


def state(path: Path | str, words: str | None = None) -> None:
    """What the filter notes beside the map (pbs_filter/store/gdbm_state.py), and its clock."""
    if words is None:
        content = Path(path).read_bytes()
        words = f"closed {len(content)} {crc32(content):08x} -"
    Path(f"{path}.state").write_text(words + "\n")
    offset = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    told = f"{offset:.3f} {boot_id().decode()} 0".encode()
    Path(f"{path}.clock").write_bytes(line_with_sum(told))


def lose_a_bucket(path: Path) -> None:
    """Damage the map as a crash inside a split does: a bucket that says nonsense about itself.

    GDBM then answers "not there" to everything in it, without an error.
    """
    raw = bytearray(path.read_bytes())
    with _gdbm.open(str(path), "r") as database:
        size = len(database)
    assert size, "an empty map has no bucket to lose"
    block = int.from_bytes(raw[4:8], "little")  # gdbm_file_header: magic, block_size, dir, ...
    directory = int.from_bytes(raw[8:16], "little")
    buckets = {
        int.from_bytes(raw[at : at + 8], "little") for at in range(directory, directory + block, 8)
    }
    for bucket in buckets:
        raw[bucket : bucket + 64] = b"\xff" * 64
    path.write_bytes(raw)
