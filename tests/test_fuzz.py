"""The attacks on every server's lines, for a moment; `python -m tests.fuzz` goes on for longer."""

from __future__ import annotations

import pytest

from pbs_filter.grammar import ADDRESS, TEXT, USER, Rule, Server, token
from pbs_filter.model import Accepted, Ignored
from pbs_filter.servers import SERVERS
from tests.fuzz.attacks import CANARY, attacks_of
from tests.fuzz.lines import HOLE, Line, lines_of
from tests.fuzz.run import Campaign, run, targets

from .grammar.sample import no, yes

SECONDS = 0.5
TARGETS = targets(SERVERS)


@pytest.fixture(scope="module")
def all_servers() -> Campaign:
    return Campaign(SERVERS)


@pytest.mark.parametrize("name", TARGETS)
def test_no_text_of_a_client_gets_the_canary_in(all_servers, name):
    tally = run(all_servers, TARGETS[name], SECONDS)
    assert tally.lines >= len(TARGETS[name])


def server(*rules: Rule) -> Server:
    return Server(name="sloppy", title="", versions="", programs={"sloppy": "imap"}, rules=rules)


SEARCHING = Rule(
    name="login",
    kind=Accepted,
    expression=token(r"(?s:.){0,2000}?(?=rip=)", "anything") + "rip=" + ADDRESS("address") + TEXT,
    samples=(
        yes("sloppy: Login: user=<bob>, rip=192.0.2.7", Accepted(user="", address="192.0.2.7")),
        no("sloppy: Login", "no address"),
    ),
)
SLOW = Rule(
    name="noise",
    kind=Ignored,
    expression="user " + token(r"(?:(?!.*zzz).){0,4000}", "text that is read again and again"),
    samples=(yes("sloppy: user bob", Ignored()), no("sloppy: bob", "no user")),
)
SOUND = Rule(
    name="login",
    kind=Accepted,
    expression="user " + USER("user") + " " + ADDRESS("address"),
    samples=(
        yes("sloppy: user bob 192.0.2.7", Accepted(user="bob", address="192.0.2.7")),
        no("sloppy: user bob", "no address"),
    ),
)


def test_a_rule_that_searches_the_line_is_found_out():
    sloppy = server(SEARCHING)
    with pytest.raises(AssertionError, match=CANARY):
        run(Campaign([*SERVERS, sloppy]), lines_of(sloppy), 60)


def test_a_rule_that_reads_a_line_again_and_again_is_found_out():
    sloppy = server(SLOW)
    with pytest.raises(AssertionError, match=r"[0-9.]+ ms for "):
        run(Campaign([*SERVERS, sloppy]), lines_of(sloppy), 60)


def test_every_clients_text_of_a_sample_becomes_a_hole():
    assert [Line("sloppy", "", f"user {HOLE} 192.0.2.7")] == lines_of(server(SOUND))


def test_an_attack_is_a_sample_with_the_canary_as_its_only_address():
    assert [
        f"user bob {CANARY}",
        f"sloppy: user bob {CANARY}",
        f"Nov 20 09:11:13 mx1 sloppy: user bob {CANARY}",
    ] == attacks_of([server(SOUND)])


def test_every_server_has_lines_to_attack():
    assert [name for name, lines in TARGETS.items() if not lines] == []
