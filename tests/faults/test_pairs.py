"""Faults in pairs: each alone was survived, and two together lost acknowledged logins."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_filter.config.options import Config
from pbs_filter.errors import StoreBusy
from pbs_filter.lookup.answer import NO, NOT_NOW, YES, Lookup
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.map_format.map_clock import MapClock
from pbs_filter.service import control, persister, schedule
from pbs_filter.store import journal
from pbs_filter.store.gdbm_map import GdbmMap

from ..running import wait_for
from .lives import Death, Life, made
from .machine import Machine
from .model import an_hour_older

GRACE = 600
MANY = [f"192.0.{number // 200}.{number % 200 + 1}" for number in range(1, 1001)]


@pytest.fixture
def machine() -> Iterator[Machine]:
    clocks = Machine()
    with clocks.here():
        yield clocks


@pytest.fixture
def settings(quick_place: Path) -> Config:
    return made(quick_place, servers=("dovecot",), grace_seconds=GRACE)


def lines(addresses: list[str]) -> bytes:
    return "".join(
        "Nov 28 09:00:00 mx1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, "
        f"rip={address}, lip=198.51.100.254, mpid=41, TLS\n"
        for address in addresses
    ).encode()


def started(settings: Config, death: Death | None = None) -> Life:
    life = Life(settings, death, prepare=lambda: None)
    assert death is not None or b"OK" == life.reply()
    return life


def killed(life: Life) -> None:
    life.kill()
    life.end()


def log_in(life: Life, addresses: list[str]) -> None:
    life.send(lines(addresses))
    for _ in addresses:
        assert b"OK" == life.reply()


def answers(settings: Config, addresses: list[str]) -> set[str]:
    lookup = Lookup(GdbmReader(settings.map), now=MapClock(settings.map).now)
    for pause in (0.01, 0.1, 0.3, 0):  # a filter that runs has the map for a moment
        answered = {lookup.ask(address.encode(), patience=0.0) for address in addresses}
        if NOT_NOW not in answered:
            break
        time.sleep(pause)
    return answered


def killed_with_everybody_in_the_map(settings: Config) -> None:
    """A filter ends by kill -9 when the map has all of MANY."""
    life = started(settings)
    log_in(life, MANY)
    while answers(settings, MANY) != {YES}:
        pass
    killed(life)


@pytest.mark.parametrize("by", [7000, -3600, 300, -300, 1.5])
@pytest.mark.parametrize("seen", [True, False], ids=["seen by a line", "seen by nobody"])
def test_the_input_ends_just_after_the_clock_was_set(
    settings: Config, machine: Machine, by: float, seen: bool
) -> None:
    life = started(settings)
    log_in(life, MANY)
    machine.set_clock(by)
    if seen:
        log_in(life, ["198.51.100.7"])
    assert 0 == life.finish()
    assert answers(settings, MANY) <= {YES, NOT_NOW}
    life = started(settings)
    assert {YES} == answers(settings, MANY)
    machine.wait(GRACE - 60)
    assert {YES} == answers(settings, MANY)
    assert 0 == life.finish()
    assert {YES} == answers(settings, MANY)
    machine.wait(70)
    assert {NO} == answers(settings, MANY)
    machine.wait(3700)
    assert {NO} == answers(settings, MANY)


@pytest.mark.parametrize("by", [3000, -3600])
def test_a_filter_that_dies_while_the_map_gets_the_times_of_another_clock(
    settings: Config, machine: Machine, monkeypatch: pytest.MonkeyPatch, by: int
) -> None:
    """At the rename of the new map, or of what tells its clock."""
    for count in (1, 2, 3, 4):
        for when in ("before", "after"):
            life = started(settings)
            log_in(life, MANY[:20])
            assert 0 == life.finish()
            life = started(settings, Death("rename", count, when))
            if life.reply() is not None:
                machine.set_clock(by)
                life.send(lines(["198.51.100.7"]))
                while life.reply() is not None:
                    pass
            life.end()
            assert answers(settings, MANY[:20]) <= {YES, NOT_NOW}
            machine.wait(GRACE + 5)
            assert YES not in answers(settings, MANY[:20])


def test_the_input_ends_while_more_waits_for_the_map_than_is_kept(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persister, "MAX_CHANGES", 100)
    monkeypatch.setattr(schedule, "MAP_REST_SECONDS", 60.0)
    monkeypatch.setattr(schedule, "MAP_SHARE", 1_000_000)
    life = started(settings)
    log_in(life, MANY)
    assert 0 == life.finish()
    assert {YES} == answers(settings, MANY)


def test_a_filter_that_leaves_with_the_map_behind_its_journal_says_so(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log says why, and a miss is "not now" until the next start."""
    monkeypatch.setattr(persister, "MAX_CHANGES", 100)
    monkeypatch.setattr(schedule, "MAP_SHARE", 1_000_000)
    monkeypatch.setattr(schedule, "MAP_REST_SECONDS", 60.0)

    begin = GdbmMap.begin_rebuild

    def fails(self: GdbmMap) -> None:
        if self._complete:
            raise StoreBusy("no room")
        begin(self)

    with monkeypatch.context() as patched:
        patched.setattr(GdbmMap, "begin_rebuild", fails)
        patched.setattr("pbs_filter.service.feed.CLOSE_SECONDS", 0.2)
        life = started(settings)
        log_in(life, MANY)
        assert 0 == life.finish()
    log = Path(settings.logto).read_text()
    assert "not up to date: 1,000 addresses to be written to the map (no room)" in log
    assert answers(settings, MANY) <= {YES, NOT_NOW}
    life = started(settings)
    assert {YES} == answers(settings, MANY)
    assert 0 == life.finish()


def remove(path: Path) -> None:
    path.unlink()


def spoil(path: Path) -> None:
    """A byte every 50."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data.rstrip(b"\0")), 50):
        data[at] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, 3000)


def cut_between_lines(path: Path) -> None:
    os.truncate(path, path.read_bytes().rindex(b"\n", 0, 3000) + 1)


DAMAGES: list[Callable[[Path], None]] = [remove, spoil, cut, cut_between_lines]


DEATHS = [
    Death("pwrite", 1, "after"),
    Death("pwrite", 2, "within"),
    Death("fsync", 1, "before"),
    Death("ftruncate", 1, "after"),
    Death("rename", 1, "before"),
    Death("rename", 1, "after"),
    Death("rename", 2, "after"),
    Death("fsync", 3, "before"),
]
"""Ends of starts, one after the other."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_and_then_kills_during_the_next_starts(
    settings: Config, damage: Callable[[Path], None]
) -> None:
    killed_with_everybody_in_the_map(settings)
    damage(Path(settings.journal))
    for death in DEATHS:
        life = started(settings, death)
        life.reply()
        life.kill()
        life.end()
    life = started(settings)
    assert {YES} == answers(settings, MANY)
    killed(life)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_and_a_map_that_was_being_written(
    settings: Config, damage: Callable[[Path], None]
) -> None:
    killed_with_everybody_in_the_map(settings)
    state = Path(settings.map + ".state")
    state.write_bytes(b"writing".ljust(159) + b"\n")
    damage(Path(settings.journal))
    life = started(settings)
    assert {YES} == answers(settings, MANY)
    assert 0 == life.finish()


def end_on_time(settings: Config, machine: Machine, addresses: list[str]) -> None:
    """The addresses logged in 300 s ago, and count for as long as they were granted."""
    machine.wait(290)
    assert {YES} == answers(settings, addresses)
    machine.wait(15)
    assert {NO} == answers(settings, addresses)


@pytest.mark.parametrize("by", [250, -250])
def test_a_clock_that_was_set_and_a_lost_journal(
    settings: Config, machine: Machine, by: int
) -> None:
    """What is taken from the map is told by the map's own clock."""
    life = started(settings)
    log_in(life, MANY[:20])
    machine.wait(300)
    log_in(life, ["198.51.100.7"])
    while answers(settings, ["198.51.100.7"]) != {YES}:
        pass
    killed(life)
    machine.set_clock(by)
    Path(settings.journal).unlink()
    life = started(settings)
    end_on_time(settings, machine, MANY[:20])
    assert {YES} == answers(settings, ["198.51.100.7"])
    killed(life)


@pytest.mark.parametrize("by", [-250, 250])
def test_a_clock_that_was_set_and_a_map_of_which_nobody_knows_the_clock(
    settings: Config, machine: Machine, by: int
) -> None:
    """The journal is whole: what the map says beside it, in times of another clock, is no more."""
    life = started(settings)
    log_in(life, MANY[:20])
    machine.wait(300)
    assert 0 == life.finish()
    machine.set_clock(by)
    Path(settings.map + ".clock").unlink()
    life = started(settings)
    end_on_time(settings, machine, MANY[:20])
    killed(life)


@pytest.mark.parametrize("death", [Death("rename", 1, "before"), Death("rename", 2, "before")])
def test_a_clock_that_was_set_before_an_upgrade_whose_first_start_dies(
    settings: Config, machine: Machine, death: Death
) -> None:
    """0.1.0 had one map file at a time, and its `PATH.clock` named none."""
    life = started(settings)
    log_in(life, MANY[:20])
    machine.wait(300)
    assert 0 == life.finish()
    told = Path(settings.map + ".clock")
    told.write_text(" ".join(told.read_text().split()[:2]) + "\n")
    machine.set_clock(-250)
    life = started(settings, death)
    assert life.reply() is None
    life.end()
    life = started(settings)
    end_on_time(settings, machine, MANY[:20])
    killed(life)


def test_a_login_that_is_acknowledged_and_not_yet_in_the_map_is_never_no(
    settings: Config, machine: Machine
) -> None:
    """The filter dies between its answer and the map: a first login, and one more of an address
    whose end in the map comes first."""
    life = started(settings)
    log_in(life, ["192.0.2.1"])
    assert 0 == life.finish()
    machine.wait(GRACE - 10)
    life = started(settings, Death("put", 1, "before"))
    assert b"OK" == life.reply()
    life.send(lines(["192.0.2.1", "192.0.2.2"]))
    assert [b"OK", b"OK", None] == [life.reply(), life.reply(), life.reply()]
    life.end()
    machine.wait(20)
    assert {NOT_NOW} == answers(settings, ["192.0.2.1", "192.0.2.2"])
    life = started(settings)
    assert {YES} == answers(settings, ["192.0.2.1", "192.0.2.2"])
    killed(life)


LATER = [f"198.51.100.{number}" for number in range(1, 51)]


def backup_of(journal: str) -> bytes:
    """What `cp` makes of a journal in use, with the room that is claimed behind its last line."""
    return Path(journal).read_bytes()


def write_journal_anew(settings: Config) -> None:
    """Let a person make changes, until the running filter has written its journal anew."""
    before = os.stat(settings.journal).st_ino
    while os.stat(settings.journal).st_ino == before:
        request = {"do": "authorise", "address": "203.0.113.7", "seconds": 60, "note": "test"}
        control.ask(settings.control, request)


@pytest.mark.parametrize("ends", ["killed", "in order"])
@pytest.mark.parametrize("is_written_anew", [True, False], ids=["of before it was anew", "shorter"])
def test_a_journal_from_a_backup_made_while_the_filter_ran(
    settings: Config, monkeypatch: pytest.MonkeyPatch, ends: str, is_written_anew: bool
) -> None:
    """Nothing of it is damaged or cut: only the place that the map's state names tells."""
    if is_written_anew:
        monkeypatch.setattr(journal, "SPARE_LINES", 100)
    life = started(settings)
    log_in(life, MANY[:20])
    backup = backup_of(settings.journal)
    if is_written_anew:
        write_journal_anew(settings)
    log_in(life, LATER)
    while answers(settings, LATER) != {YES}:
        pass
    assert len(backup.rstrip(b"\0")) < Path(settings.journal).stat().st_size
    if ends == "killed":
        life.kill()
        life.end()
    else:
        assert 0 == life.finish()
    for _ in range(2):
        Path(settings.journal).write_bytes(backup)
        assert {YES} == answers(settings, LATER)
        life = started(settings)
        assert {YES} == answers(settings, MANY[:20] + LATER)
        life.kill()
        life.end()


def forget(settings: Config, address: str) -> None:
    answer = control.ask(settings.control, {"do": "forget", "address": address})
    assert answer["changed"], answer


@pytest.mark.parametrize("damage", [cut_between_lines, cut, spoil])
def test_a_revocation_and_a_journal_cut_after_an_orderly_end(
    settings: Config, damage: Callable[[Path], None]
) -> None:
    """The map was closed behind what is left of the journal, and knows."""
    life = started(settings)
    log_in(life, MANY)
    forget(settings, MANY[0])
    log_in(life, LATER)
    assert 0 == life.finish()
    damage(Path(settings.journal))
    for _ in range(2):
        life = started(settings)
        assert {NO} == answers(settings, MANY[:1])
        assert {YES} == answers(settings, MANY[1:] + LATER)
        log_in(life, ["203.0.113.7"])
        life.kill()
        life.end()


def test_a_revocation_and_an_older_map_with_its_state_put_back(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has been written anew since, and has no word of the address."""
    monkeypatch.setattr(journal, "SPARE_LINES", 100)
    life = started(settings)
    log_in(life, MANY[:20])
    assert 0 == life.finish()
    older = {end: Path(settings.map + end).read_bytes() for end in ("", ".state")}
    life = started(settings)
    forget(settings, MANY[0])
    write_journal_anew(settings)
    assert 0 == life.finish()
    for end, content in older.items():
        Path(settings.map + end).write_bytes(content)
    life = started(settings)
    assert {NO} == answers(settings, MANY[:1])
    assert {YES} == answers(settings, MANY[1:20])
    killed(life)


def test_a_clock_set_forward_and_a_journal_cut_before_it_and_a_map_of_unknown_clock(
    settings: Config, machine: Machine
) -> None:
    """The map has been moved already: what the journal lacks of the clock is not added again."""
    life = started(settings)
    log_in(life, MANY[:20])
    machine.wait(300)
    before = len(backup_of(settings.journal).rstrip(b"\0"))
    machine.set_clock(250)
    log_in(life, ["198.51.100.7"])
    while answers(settings, ["198.51.100.7"]) != {YES}:
        pass
    killed(life)
    os.truncate(settings.journal, before)
    Path(settings.map + ".clock").unlink()
    life = started(settings)
    end_on_time(settings, machine, MANY[:20])
    killed(life)


def test_a_clock_set_back_and_a_map_of_which_nobody_knows_the_clock_and_no_filter(
    settings: Config, machine: Machine
) -> None:
    """A lookup cannot know when an entry ends; that somebody is not there it knows."""
    life = started(settings)
    log_in(life, MANY[:5])
    assert 0 == life.finish()
    machine.wait(GRACE - 60)
    machine.set_clock(-299)
    told = Path(settings.map + ".clock")
    whole = told.read_bytes()
    for damage in (None, whole[:20], whole.replace(b"-", b"_")):
        told.unlink() if damage is None else told.write_bytes(damage)
        assert {NOT_NOW} == answers(settings, MANY[:5])
        assert {NO} == answers(settings, LATER[:5])
    machine.wait(70)
    assert {NOT_NOW} == answers(settings, MANY[:5])
    told.write_bytes(whole)
    assert YES not in answers(settings, MANY[:5])


def test_a_running_filter_tells_its_clock_again(settings: Config) -> None:
    life = started(settings)
    log_in(life, MANY[:5])
    told = Path(settings.map + ".clock")
    whole = told.read_bytes()
    for damage in (None, b"", whole.replace(b"-", b"_")):
        told.unlink() if damage is None else told.write_bytes(damage)
        wait_for(lambda: told.exists() and told.read_bytes() == whole, "the clock to be told")
        assert {YES} == answers(settings, MANY[:5])
    assert 0 == life.finish()


def killed_before_the_map_has(settings: Config, addresses: list[str]) -> None:
    """A filter acknowledges logins, and ends before it puts one into the map."""
    life = started(settings, Death("put", 1, "before"))
    assert b"OK" == life.reply()
    log_in(life, addresses)
    assert life.reply() is None
    life.end()


@pytest.mark.parametrize("spoils", [False, True], ids=["", "and a line of the journal spoiled"])
def test_the_state_of_a_closed_map_over_one_that_a_killed_filter_never_changed(
    settings: Config, spoils: bool
) -> None:
    life = started(settings)
    log_in(life, MANY[:5])
    assert 0 == life.finish()
    state = Path(settings.map + ".state")
    closed = an_hour_older(state.read_bytes())
    assert {NO} == answers(settings, LATER[:1])
    killed_before_the_map_has(settings, LATER[:1])
    state.write_bytes(closed)
    assert {NOT_NOW} == answers(settings, LATER[:1])
    assert {YES} == answers(settings, MANY[:5])
    if spoils:  # the map has that login, and the journal one that the map lacks
        journal = Path(settings.journal)
        journal.write_bytes(journal.read_bytes().replace(b"a\t" + MANY[2].encode(), b"a\tx", 1))
    life = started(settings)
    assert {YES} == answers(settings, MANY[:5] + LATER[:1])
    assert 0 == life.finish()
    assert {NO} == answers(settings, ["203.0.113.9"])


def test_an_older_state_over_a_map_that_lacks_logins(settings: Config) -> None:
    """The filter was killed before they came into the map; only its next start knows them."""
    life = started(settings)
    log_in(life, MANY[:5])
    while answers(settings, MANY[:5]) != {YES}:
        pass
    state = Path(settings.map + ".state")
    older = an_hour_older(state.read_bytes())
    assert older != state.read_bytes()
    killed(life)
    assert {NO} == answers(settings, LATER[:1]), "it had been ready"
    state.write_bytes(older)
    assert {NOT_NOW} == answers(settings, LATER[:1])
    assert {YES} == answers(settings, MANY[:5])
    killed_before_the_map_has(settings, LATER[:1])
    state.write_bytes(older)
    assert {NOT_NOW} == answers(settings, LATER[:1])
    life = started(settings)
    assert {YES} == answers(settings, MANY[:5] + LATER[:1])
    state.write_bytes(an_hour_older(state.read_bytes()))
    assert {NO} == answers(settings, ["203.0.113.9"]), "a filter that runs vouches for it"
    assert 0 == life.finish()
