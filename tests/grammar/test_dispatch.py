"""The table that chooses rules by a message's first characters."""

import pytest

from pbs_filter.grammar import Matcher
from pbs_filter.grammar.dispatch import Candidate, Table, dispatch
from pbs_filter.grammar.reading import Reading
from pbs_filter.servers import SERVERS, dovecot


def candidate(name, *prefixes):
    return Candidate(None, name, Reading("", 0, {}, frozenset(prefixes)), None)


def choices(table, message):
    while isinstance(table, Table):
        table = table.table.get(message[: table.width], table.others)
    return table


def names(table, message):
    return [choice.rule for choice in choices(table, message)]


def test_rules_are_told_apart_by_all_that_they_can_begin_with():
    stamped = "Jan ", "20"
    table = dispatch(
        [
            candidate("login", "imap-login: ", "pop3-login: ", *stamped),
            candidate("end", "imap(", "imap-hibernate(", "pop3(", *stamped),
            candidate("helper", "auth: ", "stats: "),
            candidate("any", ""),
        ]
    )
    assert ["login", "any"] == names(table, "imap-login: x")
    assert ["end", "any"] == names(table, "imap(bob): x")
    assert ["end", "any"] == names(table, "imap-hibernate(bob): x")
    assert ["login", "end", "any"] == names(table, "20")
    assert ["login", "end", "any"] == names(table, "Jan 20 09:11:13 x")
    assert ["any"] == names(table, "lmtp(bob): x")
    assert ["any"] == names(table, "")


def test_rivals_are_only_those_that_begin_like_the_message():
    table = dispatch([candidate("a", "x: ", "1"), candidate("b", "y: ", "1"), candidate("c", "x")])
    rivals = {choice.rule: [r.rule for r in choice.rivals] for choice in choices(table, "x: 1")}
    assert {"a": ["c"], "c": []} == rivals
    rivals = {choice.rule: [r.rule for r in choice.rivals] for choice in choices(table, "1")}
    assert {"a": ["b"], "b": []} == rivals


def test_rules_that_nothing_tells_apart_are_tried_in_turn():
    table = dispatch([candidate("a", "x"), candidate("b", "x")])
    assert ["a", "b"] == names(table, "xy")
    assert ["a", "b"] == names(table, "z")


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_each_sample_s_rule_is_among_those_tried(server):
    matcher = Matcher([server], enable=[f"{server.name}-{rule.name}" for rule in server.rules])
    for rule in server.rules:
        for sample in rule.samples:
            program, _, message = sample.parts()
            if sample.observation is not None:
                assert rule in names(matcher._program(program), message)


def test_an_end_of_dovecot_s_is_not_tried_as_a_login():
    tried = names(Matcher([dovecot.SERVER])._program("dovecot"), "imap(bob)<1><x>: Logged out in=1")
    assert "end" in [rule.name for rule in tried]
    assert "login" not in [rule.name for rule in tried]
