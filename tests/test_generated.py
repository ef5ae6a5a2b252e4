"""What is made from the code is as the code is today."""

from __future__ import annotations

import os
import shutil

import pytest

from pbs_filter.grammar import ADDRESS, USER, Rule, Server
from pbs_filter.model import Accepted, Connected, Ended
from pbs_filter.servers import SERVERS

from . import generated
from .generated import CHECKOUT, COMMAND, paths, replaced, servers, text_of, write
from .grammar.sample import no, yes
from .real.packages import install


@pytest.fixture(scope="module", autouse=True)
def help2man() -> None:
    """Is what makes the manual pages; without rights to install it, it must be there."""
    if os.geteuid() == 0:
        install("help2man")


@pytest.mark.parametrize("path", paths())
def test_nothing_is_stale(path):
    assert text_of(path) == (CHECKOUT / path).read_text(encoding="utf-8"), f"run: {COMMAND}"


def test_the_command_writes_what_is_stale_and_nothing_else(tmp_path, monkeypatch):
    for path in paths():
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, copy)
    monkeypatch.setattr(generated, "CHECKOUT", tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(
        readme.read_text(encoding="utf-8").replace("| popa3d |", "| popa3c |"), "utf-8"
    )
    (tmp_path / "examples/watch.svg").unlink()
    assert ["README.md", "examples/watch.svg"] == write()
    assert [] == write()
    for path in paths():
        assert (CHECKOUT / path).read_bytes() == (tmp_path / path).read_bytes()


@pytest.mark.parametrize("comment", ["<!-- {} -->", "  # {} (made from pbs_filter/servers)"])
def test_only_what_stands_between_the_markers_changes(comment):
    begin, end = comment.format("x:begin"), comment.format("x:end")
    for old in ("", "old\n", "two\nlines\n"):
        text = f"a\n{begin}\n{old}{end}\nz\n"
        assert f"a\n{begin}\n\\1 new\n{end}\nz\n" == replaced(text, "x", "\\1 new\n")


@pytest.mark.parametrize(
    "text",
    ["", "x:begin\n", "x:end\n", "x:end\nx:begin\n", "x:begin\nx:end\nx:end\n", "x:begin x:end\n"],
)
def test_a_text_without_the_markers_is_refused(text):
    with pytest.raises(ValueError, match="x:begin"):
        replaced(text, "x", "new")


# ------------------------------------------------------------------ from the server files


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
    return servers.table([server]).split("\n")[2].strip("| ").split(" | ")[3:]


def test_every_server_has_a_row_that_names_its_programs():
    rows = servers.table(SERVERS).split("\n")[2:]
    assert len(SERVERS) == len(rows)
    for server in SERVERS:
        (row,) = (row for row in rows if row.startswith(f"| {server.title} |"))
        assert all(f"`{program}`" in row for program in server.programs)


@pytest.mark.parametrize(
    ("expected", "rules"),
    [
        ("one line", [LOGIN]),
        ("two, joined by process", [CONNECTED, LOGIN_TIED]),
        ("one line, or two, joined by process", [CONNECTED, LOGIN, LOGIN_TIED]),
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


def test_each_name_of_each_server_is_in_a_selection():
    plain, tails = servers.plain_names(SERVERS), servers.names_behind_a_path(SERVERS)
    for server in SERVERS:
        for name in server.programs:
            assert name in plain or name.rpartition("/")[2] in tails
    assert "cyrus/imap" not in plain
    assert "imap" in tails


def test_a_point_in_a_name_is_a_point():
    server = Server(
        name="x", title="x", versions="1", programs={"in.popd": "pop3", "a/b.c": None}, rules=()
    )
    assert '  program("^(in[.]popd|pbs-filter-doctor)$")\n  or program("/(b[.]c)$")\n' == (
        servers.syslog_ng([server])
    )
    assert '"in.popd"' in servers.rsyslog([server])
    assert "'/(b[.]c)([:[]|$)'" in servers.rsyslog([server])
