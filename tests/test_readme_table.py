"""README's table of servers says what the server files say."""

from __future__ import annotations

import pytest

from pbs_filter.grammar import ADDRESS, USER, Rule, Server, no, yes
from pbs_filter.model import Accepted, Connected, Ended
from pbs_filter.servers import SERVERS
from tests.readme_table import README
from tests.server_table import BEGIN, END, markdown, updated

LOGIN = Rule(
    name="login",
    kind=Accepted,
    expression="in " + USER("user") + " " + ADDRESS("address"),
    samples=(
        yes("x[1]: in bob 192.0.2.7", Accepted(user="bob", address="192.0.2.7")),
        no("x[1]: in bob", "no address"),
    ),
)
LOGIN_TIED = Rule(
    name="login-tied",
    kind=Accepted,
    expression="in " + USER("user"),
    session=("pid",),
    samples=(yes("x[1]: in bob", Accepted(user="bob", session="1")), no("x[1]: in", "nobody")),
)
CONNECTED = Rule(
    name="connected",
    kind=Connected,
    expression="from " + ADDRESS("address"),
    session=("pid",),
    samples=(
        yes("x[1]: from 192.0.2.7", Connected(address="192.0.2.7", session="1")),
        no("x[1]: from", "nowhere"),
    ),
)
ENDED = Rule(
    name="ended",
    kind=Ended,
    expression="out " + USER("user"),
    samples=(yes("x[1]: out bob", Ended(user="bob")), no("x[1]: out", "nobody")),
)
ENDED_TIED = Rule(
    name="ended-tied",
    kind=Ended,
    expression="out " + USER("user") + " " + ADDRESS("address"),
    session=("address", "user"),
    samples=(
        yes("x[1]: out bob 192.0.2.7", Ended(session="192.0.2.7,bob", user="bob")),
        no("x[1]: out", "nobody"),
    ),
)


def cells(*rules: Rule) -> list[str]:
    """The last two cells of the row of a server with these rules."""
    server = Server(name="x", title="X", versions="1", programs={"x": "pop3"}, rules=rules)
    return markdown([server]).split("\n")[2].strip("| ").split(" | ")[3:]


def test_readme_has_todays_table():
    text = README.read_text(encoding="utf-8")
    assert updated(text, SERVERS) == text, "run: python -m tests.readme_table"


def test_every_server_has_a_row_that_names_its_programs():
    rows = markdown(SERVERS).split("\n")[2:]
    assert len(SERVERS) == len(rows)
    for server in SERVERS:
        (row,) = (row for row in rows if row.startswith(f"| {server.title} |"))
        assert all(f"`{program}`" in row for program in server.programs)


@pytest.mark.parametrize(
    ("expected", "rules"),
    [
        ("one line", [LOGIN]),
        ("two tied by process", [CONNECTED, LOGIN_TIED]),
        ("one line, or two tied by process", [CONNECTED, LOGIN, LOGIN_TIED]),
    ],
)
def test_a_login_is_as_many_lines_as_it_takes_to_know_the_address(expected, rules):
    assert expected == cells(*rules)[0]


@pytest.mark.parametrize(
    ("expected", "rules"),
    [
        ("–", [LOGIN]),
        ("user", [LOGIN, ENDED]),
        ("address, user or user", [LOGIN, ENDED, ENDED_TIED]),
    ],
)
def test_an_end_is_tied_by_its_session_or_else_by_its_user(expected, rules):
    assert expected == cells(*rules)[1]


def test_only_what_stands_between_the_markers_changes():
    text = f"a\n{BEGIN}\nold\n{END}\nz\n"
    assert f"a\n{BEGIN}\n{markdown(SERVERS)}\n{END}\nz\n" == updated(text, SERVERS)


@pytest.mark.parametrize("text", ["", BEGIN, END, END + BEGIN, BEGIN + END + END])
def test_a_text_without_the_markers_is_refused(text):
    with pytest.raises(ValueError, match="servers:begin"):
        updated(text, SERVERS)
