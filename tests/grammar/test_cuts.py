"""The contract's part about lines that are cut."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbs_filter.grammar import ADDRESS, TEXT, Matcher, Rule, Server, cuts, line, samples, token
from pbs_filter.grammar.attacks import CANARY, forged_lines, laid
from pbs_filter.grammar.carriage import SYSLOG, Carriage
from pbs_filter.model import Accepted, Refused
from pbs_filter.servers import SERVERS

CUTTING = Carriage(cut_bytes=511, cure="mend the logger")

LOGIN_LINES = samples("""
testd: login bob from 192.0.2.7
    -> accepted user=bob address=192.0.2.7
testd: out
    not: no login
""")
FAILED_LINES = samples("""
testd: login failed for bob, from 192.0.2.7
    -> refused
testd: failed
    not: no name
""")
FAILED = line("login failed for {text}", text=TEXT)


def server(carriage: Carriage = SYSLOG) -> Server:
    rules = (
        Rule(
            "login",
            Accepted,
            line("login {user} from ") + ADDRESS("address"),
            LOGIN_LINES,
        ),
        Rule("failed", Refused, FAILED, FAILED_LINES),
    )
    return Server(
        name="test", title="Test", versions="1", programs={"testd": None}, carriage=carriage,
        rules=rules,
    )  # fmt: skip


def violations(made: Server) -> list[str]:
    return [*cuts.violations(made, Matcher([made]))]


def test_a_server_with_bounded_names_that_writes_whole_lines_has_nothing_to_fear():
    assert [] == violations(server())
    assert [] == violations(server(CUTTING))


def test_a_refusal_that_becomes_a_login_when_its_end_is_cut_off_is_found():
    anything = token(r"(?>login .*(?= from ))", "anything")
    failed = token(r"(?>login failed for .*(?=, from ))", "anything")
    loose = replace(
        server(),
        rules=(
            Rule("login", Accepted, anything + " from " + ADDRESS("address"), LOGIN_LINES),
            Rule("failed", Refused, failed + ", from " + ADDRESS, FAILED_LINES),
        ),
    )
    (first, *_) = violations(loose)
    assert "cut off behind 1000 bytes" in first
    assert "bound the tokens of rule 'login'" in first


def test_a_cut_that_nothing_shows_is_found():
    class Blind(Carriage):
        def is_sign(self, message, exact):
            return len(message) > 500

    blind = Blind(cut_bytes=511, cure="mend the logger")
    assert any("are no sign" in violation for violation in violations(server(blind)))


def test_a_way_in_pieces_says_what_to_do():
    for carriage in (Carriage(cut_bytes=511), Carriage(off=True)):
        assert any("say in `cure`" in text for text in violations(server(carriage)))


@pytest.mark.parametrize("end", [200, 511, 1024])
def test_a_text_is_laid_so_that_it_ends_at_a_byte(end):
    texts = [*laid("begin ", "the end", end)]
    assert texts
    for text in texts:
        assert end == len(text.encode())
        assert text.startswith("begin ")
        assert text.endswith("the end")
    assert [] == [*laid("begin ", "the end", 10)]


def test_what_is_laid_are_the_servers_own_logins_connections_and_ends():
    courier = [each for each in SERVERS if each.name == "courier"]
    lines = forged_lines(courier)
    assert f"LOGIN, user=bob, ip=[::ffff:{CANARY}], port=[40612]" not in lines  # addresses go whole
    assert f"LOGIN, user=bob, ip=[{CANARY}], port=[40612]" in lines
    assert any(text.startswith("LOGOUT, ") for text in lines)
