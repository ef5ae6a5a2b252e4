"""Promise 1: what was acknowledged survives kill -9 of the filter at any instant."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.authorisation.pipeline import Pipeline
from pbs_filter.config import options
from pbs_filter.service import build

from ..real.daemons.rsyslog import Rsyslog
from ..real.shipped import Installed, address, addresses, kill_filter_of, login
from . import figure, number
from .__main__ import ALSO_LONG
from .lives import Death, Life, ledger_of, made, map_of

GRACE = 7000
CANARY = "203.0.113.66"
KILLS = number(120, 2000)
LINES_A_LIFE = 250
MOST_OPEN = 400
WINDOW = 3
"""Lines sent before their acknowledgements are waited for: rsyslog sends one."""
RSYSLOG_KILLS = number(3, 40)
RSYSLOG_LINES = number(8000, 60_000)


class Load:
    """Lines of Dovecot (a session each) and popa3d (two lines a login), without end."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.serial = 0
        self.open: list[str] = []
        self.half: list[int] = []

    def line(self) -> bytes:
        """The next one."""
        self.serial += 1
        number_, chance = self.serial, self.chance
        what = chance.random()
        if self.open and (what < 0.25 or len(self.open) > MOST_OPEN):
            session = self.open.pop(chance.randrange(len(self.open)))
            text = f"dovecot: imap(bob)<41><{session}>: Disconnected: Logged out in=1 out=2"
        elif what < 0.4 and len(self.half) <= MOST_OPEN:
            self.half.append(number_)
            text = f"popa3d[{number_}]: Session from {self._address()}"
        elif self.half and (what < 0.55 or len(self.half) > MOST_OPEN):
            pid = self.half.pop(chance.randrange(len(self.half)))
            text = f"popa3d[{pid}]: Authentication passed for bob"
        elif what < 0.6:
            text = (
                "dovecot: imap-login: Aborted login (auth failed, 1 attempts): user=<eve>, "
                f"method=PLAIN, rip={CANARY}, lip=198.51.100.254, TLS"
            )
        else:
            self.open.append(f"s{number_}")
            text = (
                f"dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip={self._address()}, "
                f"lip=198.51.100.254, mpid=41, TLS, session=<s{number_}>"
            )
        return f"Nov 20 10:00:00 mx1 {text}\n".encode()

    def _address(self) -> str:
        return f"2001:db8::{self.chance.randrange(1, 3000):x}"


class Known:
    """What a filter knows, as plain tables."""

    def __init__(self, of: Pipeline) -> None:
        ledger = of.ledger
        self.tables = (
            {a: frozenset(auth.session_keys()) for a, auth in ledger.authorisations.items()},
            {key: session.address for key, session in ledger.sessions.items()},
            {key: known[0] for key, known in of.correlator.pending.items()},
        )

    def misses(self, states: list[Known]) -> str:
        """How this is none of `states` (one for each line on its way), "" if it is."""
        for number_, mine in enumerate(self.tables):
            tables = [state.tables[number_] for state in states]
            for key in mine.keys() | tables[0].keys() | tables[-1].keys():
                found, allowed = mine.get(key), [table.get(key) for table in tables]
                if found not in allowed and not _between(found, allowed[0], allowed[-1]):
                    return f"{key}: {found!r}, but it should be one of {allowed!r}"
        return ""


def _between(found: object, was: object, will: object) -> bool:
    """Sessions of an address that came and went in the lines on their way."""
    if not isinstance(found, frozenset):
        return False
    old = was if isinstance(was, frozenset) else frozenset()
    new = will if isinstance(will, frozenset) else frozenset()
    return old & new <= found <= old | new


class Oracle:
    """A filter that was never killed, told what was acknowledged."""

    def __init__(self, settings: options.Config) -> None:
        self.pipeline = build.pipeline_of(settings, lambda _text: None)

    def tell(self, lines: list[bytes]) -> None:
        for line in lines:
            self.pipeline.block(line, int(time.time()))

    def known(self) -> Known:
        return Known(self.pipeline)


def lives(
    settings: options.Config, chance: random.Random
) -> Iterator[tuple[Death | None, Counter]]:
    """Kill one life after the other; AssertionError where something is missing or too much."""
    load = Load(chance)
    oracle = Oracle(settings)
    unanswered: list[bytes] = []
    while True:
        done: Counter[str] = Counter()
        chosen = chance.random() < 0.7
        death = Death.chosen(chance) if chosen else None
        life = Life(settings, death, cpu_seconds=0.0 if chosen else chance.uniform(0.001, 0.35))
        ready = life.reply()
        if ready is not None:
            assert b"OK" == ready
            found = {a: e.sessions for a, e in map_of(settings).items()}
            now = Known(ledger_of(settings))
            assert {a: len(s) for a, s in now.tables[0].items()} == found, "map = ledger"
            done["starts"] += 1
            todo = LINES_A_LIFE
            while todo > 0:
                while len(unanswered) < WINDOW:
                    unanswered.append(load.line())
                life.send(b"".join(unanswered))
                answered = 0
                while answered < len(unanswered) and (reply := life.reply()) is not None:
                    assert b"OK" == reply
                    answered += 1
                oracle.tell(unanswered[:answered])
                todo -= max(answered, 1)
                done["lines"] += answered
                gone = answered < len(unanswered)
                del unanswered[:answered]
                if gone:
                    break
        life.kill()
        status = life.end()
        assert status in (signal.SIGKILL, signal.SIGPROF), f"died of {status} at {death}"
        # What is on the disk: the acknowledged, and of the lines on their way so many.
        after = build.pipeline_of(settings, lambda _text: None)
        copy(oracle.pipeline, after)
        states = [oracle.known()]
        for line in unanswered:
            after.block(line, int(time.time()))
            states.append(Known(after))
        wrong = Known(ledger_of(settings)).misses(states)
        assert not wrong, f"killed at {death}: {wrong}"
        assert CANARY not in map_ends(settings)
        yield death, done


def copy(of: Pipeline, to: Pipeline) -> None:
    """Let `to` know what `of` knows."""
    for payload in of.state.live_payloads():
        to.state.apply(payload)
    to.state.restored(int(time.time()))


def map_ends(settings: options.Config) -> set[str]:
    """The addresses in the ledger on disk: what the next start puts into the map."""
    return set(ledger_of(settings).ledger.authorisations)


def test_whenever_the_filter_is_killed_what_it_acknowledged_is_there(quick_place: Path) -> None:
    """At the calls that touch the disk (between journal and map, within a batch of the map, in a
    new journal, in a new map, while it starts), and at moments of the processor's clock."""
    seed = random.SystemRandom().randrange(1 << 30)
    print("seed", seed)
    settings = made(
        quick_place,
        servers=("dovecot", "popa3d"),
        grace_seconds=GRACE,
        max_session_seconds=86400,
        patience_seconds=7000,
    )
    points: Counter[str] = Counter()
    total: Counter[str] = Counter()
    kills = lives(settings, random.Random(seed))
    for _ in range(KILLS):
        death, done = next(kills)
        points[death.point if death else "by the clock"] += 1
        total += done
    figure("kills of a filter on bare pipes", KILLS)
    figure("lines acknowledged between those kills", total["lines"])
    figure("logins lost to kills", 0)
    assert total["starts"] > KILLS // 2
    assert min(points.values()) > 0
    assert len(points) > 10


@pytest.fixture
def rsyslogd(tmp_path: Path) -> Iterator[tuple[Rsyslog, Installed]]:
    installed = Installed(tmp_path / "installed", "require_vouched = true\n")
    with Rsyslog.with_filter(tmp_path / "rsyslog", installed) as daemon:
        yield daemon, installed


def test_rsyslog_sends_again_what_a_killed_filter_did_not_answer(
    rsyslogd: tuple[Rsyslog, Installed],
) -> None:
    daemon, installed = rsyslogd
    chance = random.Random()
    moments = sorted(chance.sample(range(100, RSYSLOG_LINES), RSYSLOG_KILLS))
    with daemon.log() as log:
        for serial in range(RSYSLOG_LINES):
            if moments and serial == moments[0]:
                moments.pop(0)
                # When it works on what was sent so far, or a little later.
                installed.wait_for_count(max(1, serial - chance.randrange(1, 2000)))
                kill_filter_of(daemon.pid)
            log.send(login(serial))
    assert address(0) in installed.entries()
    installed.wait_for_count(RSYSLOG_LINES, 300)
    entries = installed.entries()
    assert set(addresses(range(RSYSLOG_LINES))) == set(entries)
    assert {1} == {entry.sessions for entry in entries.values()}
    figure("kills of a filter below rsyslog", RSYSLOG_KILLS)


def test_the_long_form_finds_its_files() -> None:
    assert all(path.is_file() for path in ALSO_LONG)
