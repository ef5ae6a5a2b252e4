"""An entry that has ended is "no" only if it has by every clock, in a map that lacks nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pbs_filter.errors import StoreLocked
from pbs_filter.map_format import check
from pbs_filter.map_format.completeness import boot_id
from pbs_filter.map_format.entry import Entry, encode
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.map_format.map_clock import MapClock, line_with_sum
from pbs_filter.store.gdbm_map import GdbmMap

A = "192.0.2.7"


def value(until: float, renewed: float) -> bytes:
    return encode(A, Entry(int(until), int(renewed), 0, 0, 0, "popa3d", "pop3", "bob"))


def test_it_is_over_by_the_earliest_clock_alone() -> None:
    entry = value(2000, 1000)
    assert not check.is_over(entry, 1999, 2500)
    assert check.is_over(entry, 2000, 2500)
    assert not check.is_over(entry, 500, 998), "it is from the future"


def test_an_entry_moves_with_the_clock() -> None:
    entry = Entry(2000, 1000, 900, 950, 1, "popa3d", "pop3", "bob")
    assert Entry(1900, 900, 800, 850, 1, "popa3d", "pop3", "bob") == entry.shifted(-100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o750)
    return tmp_path / "map"


def tell_clock(path: Path, *ahead: float) -> None:
    """Let the filter's clock be so far ahead of the wall clock, in a line for each file."""
    offset = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    path.with_name("map.clock").write_text(
        "".join(f"{offset + by:.3f} {boot_id().decode()} {n}\n" for n, by in enumerate(ahead))
    )


def test_the_bounds_of_the_clocks(path: Path) -> None:
    clock = MapClock(str(path))
    assert clock.bounds() is None
    assert clock.now() == pytest.approx(time.time(), abs=1)
    tell_clock(path, 100, -50)
    bounds = clock.bounds()
    assert bounds is not None
    earliest, latest = bounds
    assert latest - earliest == pytest.approx(150, abs=1)
    assert clock.now() == pytest.approx(time.time() + 100, abs=1)
    another = b"an-other-" * 4
    whole = line_with_sum(b"1.000 %b 1" % another)
    for damage in (
        b"",
        b"\n",
        b"x y z\n",
        b"x %b 1\n" % boot_id(),
        whole.replace(b"other", b"outer"),
    ):
        path.with_name("map.clock").write_bytes(damage)
        assert clock.bounds() is None
    for line in (
        whole,
        line_with_sum(b"1.000 - 1"),
        b"1.000 %b 1\n" % another,
        b"1.000 %b\n" % another,
    ):
        path.with_name("map.clock").write_bytes(line)
        bounds = clock.bounds()
        assert bounds is not None, "the machine was started again, which nobody can doubt"
        assert bounds[0] == bounds[1]


def test_a_doubtful_end_is_not_now(path: Path) -> None:
    address_map = GdbmMap(str(path))
    now = time.time()
    address_map.rebuild([(A, value(now - 10, now - 600))])
    reader = GdbmReader(str(path))
    with pytest.raises(StoreLocked, match="which tells its clock, is missing"):
        reader.get(A)
    assert reader.get("198.51.100.7") is None, "what is not there is there by no clock"
    tell_clock(path, 0)
    assert reader.get(A) is not None, "it has ended, and nothing is doubtful"
    tell_clock(path, -60)
    with pytest.raises(StoreLocked, match="the clock was set"):
        reader.get(A)
    tell_clock(path, 0)
    address_map.mark_incomplete()
    with pytest.raises(StoreLocked, match="complete"):
        reader.get(A)
    address_map.write({A: value(now + 10, now)}, complete=False)
    assert reader.get(A) is not None, "it has not ended, whatever else is missing"
