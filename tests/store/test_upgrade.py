"""Journal and map of 0.1.0, kept in `state-0.1.0`, are read by this version.

0.1.0 made them of six lines and an `--authorise`: bob logged in and out, alice and carol logged in,
somebody connected, and a scanner was authorised by hand.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from pbs_filter import clock
from pbs_filter.lookup.answer import NO, YES, Lookup, open_reader
from pbs_filter.store import journal_lines

from ..pipelines import new
from ..running import Running, login, run

OLD = Path(__file__).parent / "state-0.1.0"
THEN = 1_795_877_290
"""Some seconds after the last line."""
ADDRESSES = {"192.0.2.7", "192.0.2.8", "192.0.2.10", "2001:db8::7"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the state, as 0.1.0 has left it."""
    for path in OLD.iterdir():
        # Not its mode: in a clone by somebody with umask 0002 others could write it.
        shutil.copyfile(path, tmp_path / path.name)
    packed = tmp_path / "map.gz"
    (tmp_path / "map").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return tmp_path


def test_each_line_of_the_journal_is_known() -> None:
    state = new().state
    for payload in journal_lines.read(str(OLD / "map.journal")):
        assert payload.startswith(clock.STAMP + "\t") or state.apply(payload), payload
    state.restored(THEN)
    assert ADDRESSES == set(state.ledger.authorisations)
    assert {"mx1 dovecot BBBB", "mx1 popa3d 4711"} == set(state.ledger.sessions)
    assert {"mx1 popa3d 4712"} == set(state.correlator.pending)


def test_lookups_answer_from_the_map(place: Path) -> None:
    for now, expected in ((THEN, YES), (THEN + 3700, NO)):
        lookup = Lookup(open_reader(str(place / "map")), now=lambda now=now: now)  # type: ignore[misc]
        answers = {address: lookup.ask(address.encode()) for address in ADDRESSES}
        assert dict.fromkeys(ADDRESSES, expected) == answers, lookup.trouble
        assert lookup.ask(b"192.0.2.9") == NO


def test_a_filter_goes_on_with_them(place: Path) -> None:
    with Running(place) as running:
        assert running.reply() == b"OK"
        assert running.ask(login("192.0.2.20")) == b"OK"
        assert {"192.0.2.20"} <= running.addresses()
        assert running.end() == 0
    log = (place / "log").read_text()
    for words in ("unknown to this version", "damaged", "lost", "anew"):
        assert words not in log
    history = run("--config=/dev/null", f"--map={place}/map", "--history", "192.0.2.7")
    assert b"192.0.2.7: 1 login;" in history.stdout
