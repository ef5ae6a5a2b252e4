"""Promise 2: after a power cut at any moment a filter starts with what was acknowledged, and with
nobody whom nobody let in.

The calls of the store (journal, state of the map, names) are recorded, and every state that a disk
may be left in is made; see `store/crash_states.py`. What GDBM writes through its mapping cannot be
recorded: the map is given pages of its versions, mixed, and holes.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pbs_filter.service import build, run
from pbs_filter.service.storage import Storage
from pbs_filter.store import journal

from ..store.crash_states import after_a_cut, make, some_bytes
from ..store.test_crash_states import recording
from . import figure, number
from .lives import made, map_of

CANARY = "203.0.113.66"
PAGE = 4096
STATES = number(200, 12_000)


def login(address: str, serial: int) -> bytes:
    return (
        f"Nov 20 10:00:00 mx1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, "
        f"rip={address}, lip=198.51.100.254, mpid=41, TLS, session=<s{serial}>\n"
    ).encode()


def mixed(versions: list[bytes], chance: random.Random) -> bytes:
    """A map as a power cut may leave it: each page from any version, or never written."""
    newest = chance.choice(versions)
    what = chance.random()
    if what < 0.3:
        return newest
    if what < 0.4:
        return b""
    pages = []
    for at in range(0, len(newest), PAGE):
        from_ = chance.choice([*versions, b""])
        pages.append(from_[at : at + PAGE].ljust(PAGE, b"\0"))
    return b"".join(pages)[: chance.choice((len(newest), len(newest), len(newest) // 2))]


def test_from_every_state_a_power_cut_leaves_the_filter_has_what_was_acknowledged(
    quick_place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "AHEAD_BYTES", 100)
    settings = made(quick_place, servers=("dovecot", "popa3d"), grace_seconds=7000)
    versions: list[bytes] = []
    sent: set[str] = set()
    chance = random.Random(11)

    def quiet(_text: str) -> None:
        return

    with recording(quick_place, monkeypatch) as recorder:
        monkeypatch.setattr(run, "os", recorder)
        for life in range(2):
            pipeline = build.pipeline_of(settings, quiet)
            store = Storage(settings, pipeline.state, quiet)
            assert store.journal is not None
            for turn in range(3):
                address = f"192.0.2.{life * 10 + turn + 1}"
                pipeline.block(login(address, life * 10 + turn), store.clock.now())
                store.journal.append([store.clock.stamp(), *pipeline.state.journal_payloads()])
                pipeline.state.journaled()
                sent.add(address)
                recorder.say(sorted(sent))
                changes = pipeline.ledger.map_changes()
                store.map.write(changes)
                pipeline.ledger.mapped(changes)
                versions.append(Path(settings.map).read_bytes())
            if life == 0:
                store.journal.begin_rewrite()
                store.journal.rewrite_step([store.clock.stamp(), *pipeline.state.live_payloads()])
                store.journal.finish_rewrite()
            store.close(clean=True)
            store.release()
            versions.append(Path(settings.map).read_bytes())
    monkeypatch.undo()
    every = list(after_a_cut(recorder, some_bytes))
    states = chance.sample(every, min(STATES, len(every)))
    for content, acknowledged in states:
        content = {name: data for name, data in content.items() if not name.endswith(".lock")}
        for name in ("map", "map.new"):
            if name in content:
                content[name] = mixed(versions, chance)
        make(quick_place, content)
        pipeline = build.pipeline_of(settings, quiet)
        store = Storage(settings, pipeline.state, quiet)
        known = set(pipeline.ledger.authorisations)
        store.map.close()
        store.release()
        assert set(acknowledged or ()) <= known, sorted(content)
        assert known <= sent | {f"192.0.2.{n}" for n in range(1, 20)}
        assert CANARY not in known
        assert known == set(map_of(settings))
    figure("crash states of the whole store", len(states))
    figure("of so many there are", len(every))
    figure("acknowledged logins missing in them", 0)
