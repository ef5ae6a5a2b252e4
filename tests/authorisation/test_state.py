"""The state's faces for journal and map: another state can be made of the journal's payloads."""

from __future__ import annotations

from pbs_filter.map_format.entry import decode

from ..pipelines import GRACE, NOW, new

LOGIN = (
    b"Nov 20 10:00:00 mx1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.%d, "
    b"lip=198.51.100.254, mpid=41, TLS, session=<s%d>\n"
)
CONNECTED = b"Nov 20 10:00:00 mx1 popa3d[7]: Session from 192.0.2.9\n"


def test_the_journal_hears_of_all_and_the_map_of_addresses() -> None:
    pipeline = new()
    state = pipeline.state
    assert (0, 0, 0, 0) == (state.live(), state.changes(), state.addresses(), state.map_dirty())
    assert state.next_due() is None
    pipeline.block(LOGIN % (1, 1) + LOGIN % (2, 2) + CONNECTED, NOW)
    assert 5 == state.live(), "two addresses, two sessions, one that is pending"
    assert 5 == state.changes() == len(state.journal_payloads())
    assert 2 == state.addresses() == state.map_dirty()
    first = state.map_changes(1)
    assert ["192.0.2.1"] == list(first)
    state.mapped(first)
    assert ["192.0.2.2"] == list(state.map_changes(500))
    state.map_forgotten()
    assert 0 == state.map_dirty()
    payloads = list(state.live_payloads())
    state.journaled()
    assert 0 == state.changes()

    again = new().state
    assert all(map(again.apply, payloads))
    assert not again.apply("a\tbroken")
    assert not again.apply("z\tunknown")
    again.restored(NOW + 1)
    assert dict(state.map_values()).keys() == dict(again.map_values()).keys()
    assert 5 == again.live()


def test_what_a_map_knows_is_learned_and_told_again() -> None:
    pipeline = new()
    pipeline.block(LOGIN % (1, 1), NOW)
    ((address, value),) = pipeline.state.map_values()
    entry = decode(address, value)
    assert entry is not None
    state = new().state
    assert state.learn(address, entry, NOW)
    assert not state.learn(address, entry, NOW)
    assert 0 == state.keep_only({address})
    state.restored(NOW)
    state.tell_again([address])
    assert [f"a\t{address}"] == [text[: len(address) + 2] for text in state.journal_payloads()]


def test_the_words_of_a_journal_from_the_future_give_way_to_the_map() -> None:
    """The line that told its clock was damaged."""
    pipeline = new()
    pipeline.block(LOGIN % (1, 1), NOW)
    ((address, value),) = pipeline.state.map_values()
    entry = decode(address, value)
    assert entry is not None
    state = new().state
    for payload in pipeline.state.journal_payloads():
        state.apply(payload)
    state.shift(3600)
    assert state.learn(address, entry, NOW)
    state.restored(NOW)
    assert NOW + GRACE == state.ledger.authorisations[address].until
    state.tick(NOW + 3 * GRACE)
    assert 0 == state.addresses()
