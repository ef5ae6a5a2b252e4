"""What version 0.1.0 left, journal or map or both, loses nobody and lets in nobody else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbs_filter.config.load import build as configuration
from pbs_filter.lookup.answer import YES, Lookup
from pbs_filter.map_format.entry import Entry, decode, encode
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.map_format.map_clock import MapClock
from pbs_filter.service import build
from pbs_filter.service.storage import Storage
from pbs_filter.store import journal_lines
from pbs_filter.store.gdbm_map import GdbmMap

from .store_tools import memory_directory

GRACE, MAX_SESSION = 1800, 43200

# Written by 0.1.0 itself.
VALUES = [
    (
        "192.0.2.7",
        b"1795170000 1795168200 1795160000 1795168200 0001 dovecot      imap 94e10396 "
        b"bob@example.org                                                            ",
        Entry(
            1795170000, 1795168200, 1795160000, 1795168200, 1, "dovecot", "imap", "bob@example.org"
        ),
    ),
    (
        "2001:db8::7",
        b"1795170000 1795168200 1795160000 1795168200 0000 manual            cd1279de "
        b"j\xc3\xbcrgen                                                                  ",
        Entry(1795170000, 1795168200, 1795160000, 1795168200, 0, "manual", "", "jürgen"),
    ),
]
JOURNAL = (
    b"pbs-filter journal 1 5f3a9c01 3cbae635\n"
    b"42ba12d5 t\t1795000000.000\tboot\n"
    b"6234f81a a\t192.0.2.7\t1795170000\t1795168200\t1795160000\t1795168200\tdovecot\timap"
    b"\tbob@example.org\tLogin\n"
    b"25c7d20e o\tmx1 dovecot abc\t192.0.2.7\t1795160000\timap\tbob@example.org\n"
    b"1b167f36 d\t192.0.2.9\n"
    b"426c7bb5 c\tmx1 dovecot x\n"
    b"95c53998 p\tmx1 popa3d 81\t192.0.2.8\t1795168200\n"
    b"3750cf4b q\tmx1 popa3d 82\n"
)


@pytest.mark.parametrize(("address", "value", "expected"), VALUES)
def test_a_value_of_the_old_map_is_read_and_is_that_of_one_user_today(address, value, expected):
    assert expected == decode(address, value)
    assert value == encode(address, expected)


def test_the_old_journal_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(JOURNAL)
    payloads = list(journal_lines.read(str(tmp_path / "journal")))
    assert [line[9:].decode() for line in JOURNAL.splitlines()[1:]] == payloads
    state = build.pipeline_of(configuration({}, {}), pytest.fail).state
    assert [False] + [True] * 6 == [state.apply(payload) for payload in payloads]


def states(ago: int) -> st.SearchStrategy:
    """Old states by address: user, seconds since the last login, whether a session is open."""
    numbers = st.integers(1, 60)
    one = st.tuples(
        st.sampled_from(("bob", "BOB", "alice", "")), st.integers(0, ago), st.booleans()
    )
    return st.dictionaries(numbers.map("192.0.2.{}".format), one, min_size=1, max_size=40)


@pytest.mark.parametrize("left", ["both", "journal", "map", "a journal cut short, and the map"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whoever_could_relay_before_the_update_can_after_it_and_nobody_else(left, data):
    """More than `max_addresses_per_user` of one user, too. Lookups of the new version are asked."""
    old = data.draw(states(2 * GRACE))
    now = int(time.time())
    entries, sessions = {}, {}
    for number, (address, (user, seconds, held)) in enumerate(old.items()):
        last = now - seconds
        # The old filter renewed the lease of a held address a moment ago.
        until = now + GRACE - 60 if held else last + GRACE
        renewed = now - 60 if held else last
        entries[address] = Entry(until, renewed, last, last, int(held), "dovecot", "imap", user)
        if held:
            sessions[f"mx1 dovecot {number}"] = f"{address}\t{last}\timap\t{user}"
    with memory_directory() as place:
        os.chmod(place, 0o750)
        write(place, left, entries, sessions)
        config = configuration({}, {"map": str(place / "map"), "grace_seconds": str(GRACE)})
        pipeline = build.pipeline_of(config, pytest.fail)
        store = Storage(config, pipeline.state, lambda _text: None)
        lookup = Lookup(GdbmReader(config.map), now=MapClock(config.map).now)
        living = {address for address, entry in entries.items() if entry.until > now + 60}
        ended = {address for address, entry in entries.items() if entry.until <= now}
        allowed = {address for address in entries if lookup.ask(address.encode()) == YES}
        assert living <= allowed
        assert not allowed & ended
        assert NOT_OURS not in pipeline.ledger.authorisations
        for address in living:
            auth = pipeline.ledger.authorisations[address]
            assert entries[address].user == auth.user
            assert auth.until >= entries[address].until
        if left != "map":
            assert set(sessions) == {*pipeline.ledger.sessions}
        store.close(clean=True)
        store.release()


NOT_OURS = "203.0.113.66"
"""Ended by hand before the update, and still in a map that the journal is newer than."""


def write(place: Path, left: str, entries: dict[str, Entry], sessions: dict[str, str]) -> None:
    """The files that the old filter left when it was killed."""
    mark = 0x5F3A9C01
    payloads = []
    for address, entry in entries.items():
        times = "\t".join(map(str, entry[:4]))
        payloads.append(f"a\t{address}\t{times}\t{entry.server}\t{entry.protocol}\t{entry.user}\t")
    payloads += [f"o\t{key}\t{session}" for key, session in sessions.items()]
    payloads += [f"d\t{NOT_OURS}"]
    data, _ = journal_lines.encode(payloads, mark)
    if left != "map":
        torn = b"" if left in ("both", "journal") else b"0123abcd a\t192.0.2.1"
        (place / "map.journal").write_bytes(journal_lines.header(mark) + data + torn)
    if left != "journal":
        old_map = GdbmMap(str(place / "map"))
        old_map.rebuild((address, encode(address, entry)) for address, entry in entries.items())
        old_map.close()
