"""A site's own servers: templates, pop-before-smtp's patterns, Python files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pbs_filter.config.options import OPTIONS
from pbs_filter.errors import ConfigError, GrammarError
from pbs_filter.grammar import Matcher, Rule, Server, line, samples
from pbs_filter.model import Accepted, Connected, Ended, Reason, Record, Refused
from pbs_filter.servers import SERVERS
from pbs_filter.site_servers import python_file
from pbs_filter.site_servers import table as site
from pbs_filter.site_servers.perl_patterns import message_pattern, split

from ..reading import read as read_line


def site_server(values: dict[str, object], known=(), read=None) -> Server:
    """The server of one [[server]] table, by way of the configuration's check."""
    (table,) = OPTIONS["server"].kind.check([values])
    return site.server(table, known, read)


def made(text: str) -> Server:
    return site_server(tomllib.loads(text), SERVERS, read_line)


def read(server: Server, message: str, program: str = "acmed", pid: str = "7"):
    reading = Matcher([server]).read(Record(program, message, "mx1", pid))
    return reading if isinstance(reading, Reason) else reading.observation


# ------------------------------------------------------------------ templates

ONE_LINE = """
name = "acme"
program = "acmed"
protocol = "pop3"
accounts = ["acme"]
login = "user {user} logged in from {ip}"
logout = "user {user} logged out"
refused = "user {user} refused: {rest}"
samples = [
    { line = "acmed[7]: user bob logged in from 192.0.2.7", user = "bob", ip = "192.0.2.7" },
    { line = "Nov 20 09:11:13 mx1 acmed[7]: user bob logged out", user = "bob" },
    { line = "acmed[7]: user bob refused: wrong password", refuse = true },
]
"""


def test_a_server_of_templates() -> None:
    server = made(ONE_LINE)
    assert ("acme", {"acmed": "pop3"}, ("root", "acme")) == (
        server.name,
        server.programs,
        server.accounts,
    )
    assert Accepted(user="eve", address="2001:db8::7", protocol="pop3", session="7") == read(
        server, "user eve logged in from 2001:DB8::7"
    )
    assert Ended(session="7", user="eve", protocol="pop3") == read(server, "user eve logged out")
    assert Refused(user="eve") == read(server, "user eve refused: 203.0.113.66")
    for message in (
        "user eve logged in from 203.0.113.66 ",
        " user eve logged in from 203.0.113.66",
        "user e v e logged in from 203.0.113.66",
        "user x logged in from 203.0.113.66 logged in from 192.0.2.7",
    ):
        assert Reason.NO_RULE is read(server, message)


TWO_LINES = """
name = "acme"
program = ["acmed", "acmed-ssl"]
connected = "[{session}] connect from {ip}:{port} ({host})"
accepted = ["[{session}] {user} {{ok}} {number}", "[{session}] {user} is back, {word}"]
logout = "[{session}] bye"
samples = [
    { line = "acmed: [a1] connect from 192.0.2.7:4711 (dsl.example)", ip = "192.0.2.7" },
    { line = "acmed: [a1] bob {ok} 12", user = "bob" },
    { line = "acmed-ssl: [a1] bob is back, hello", user = "bob" },
    { line = "acmed: [a1] bye" },
    { line = "acmed: [a1] bob {no} 12", refuse = true },
]
"""


def test_a_login_in_two_lines_tied_by_an_id_in_them() -> None:
    server = made(TWO_LINES)
    assert Connected(address="2001:db8::7", session="z9") == read(
        server, "[z9] connect from 2001:db8::7:99 (x)"
    )
    assert Accepted(user="eve", session="z9") == read(server, "[z9] eve {ok} 3")
    assert Accepted(user="eve", session="z9") == read(server, "[z9] eve is back, hi", "acmed-ssl")
    assert Ended(session="z9") == read(server, "[z9] bye")


TIES = [
    # (login, logout, the header has a pid) -> the session of the login, of the logout
    ("{user} in {ip} as {pid}", "{user} out {pid}", True, "99", "99"),
    ("{user} in {ip}", "{user} out", True, "7", "7"),
    ("{user} in {ip}", "{user} out {ip}", False, "bob,192.0.2.7", "bob,192.0.2.7"),
    ("{user} in {ip}", "out {ip}", False, "192.0.2.7", "192.0.2.7"),
    ("{user} in {ip}", "{user} out", False, "bob,192.0.2.7", None),
]


@pytest.mark.parametrize(("login", "logout", "pid", "of_login", "of_logout"), TIES)
def test_what_ties_login_and_logout(login, logout, pid, of_login, of_logout) -> None:
    values = {"user": "bob", "ip": "192.0.2.7", "pid": "99"}
    tag = "acmed[7]" if pid else "acmed"
    table = {
        "name": "acme",
        "program": "acmed",
        "login": login,
        "logout": logout,
        "samples": [
            {"line": f"{tag}: {login.format(**values)}", "user": "bob", "ip": "192.0.2.7"},
            {"line": f"{tag}: {logout.format(**values)}"},
            {"line": f"{tag}: bob no", "refuse": True},
        ],
    }
    server = site_server(table)
    header = "7" if pid else ""
    assert of_login == read(server, login.format(**values), pid=header).session
    assert of_logout == read(server, logout.format(**values), pid=header).session


def test_a_login_alone_ties_nothing() -> None:
    server = made(
        """
        name = "acme"
        program = "acmed"
        login = "{user} in {ip}"
        samples = [
            { line = "acmed[7]: bob in 192.0.2.7", user = "bob", ip = "192.0.2.7" },
            { line = "acmed[7]: bob no", refuse = true },
        ]
        """
    )
    assert Accepted(user="bob", address="192.0.2.7") == read(server, "bob in 192.0.2.7")


# ------------------------------------------------------------------ pop-before-smtp's variables

PATTERN = r"""
name = "acme"
program = ["acmed"]
pat = '^[LOGTIME] \S+ acmed\[\d+\]: (?:Login|Auth) user=\S+ host=(?:\S+ )?\[(\d+\.\d+\.\d+\.\d+)\]$'
out_pat = '^([LOGTIME]) \S+ acmed\[\d+\]: Logout user=\S+ host=(?:\S+ )?\[(\d+\.\d+\.\d+\.\d+)\]$'
samples = [
    { line = "acmed[7]: Login user=bob host=dsl.example [192.0.2.7]", ip = "192.0.2.7" },
    { line = "acmed[7]: Logout user=bob host=[192.0.2.7]" },
    { line = "acmed[7]: Login failed user=bob host=[192.0.2.7]", refuse = true },
]
"""


def test_pat_and_out_pat() -> None:
    server = made(PATTERN)
    session = Accepted(user="", address="192.0.2.9", session="192.0.2.9")
    assert session == read(server, "Auth user=eve host=[192.0.2.9]")
    assert session == read(server, "Login user=eve host=x.example [192.0.2.9]")
    ended = Ended(session="192.0.2.9", address="192.0.2.9")
    assert ended == read(server, "Logout user=eve host=[192.0.2.9]")
    assert Reason.NO_RULE is read(server, "Login user=eve host=[192.0.2.9] ")
    assert Reason.NOT_AN_ADDRESS is read(server, "Login user=eve host=[192.0.2.999]")


@pytest.mark.parametrize(
    ("pid", "tag", "session"),
    [(r"acmed\[(\d+)\]: ", "acmed[7]: ", "7"), (r"acmed: #(\w+) ", "acmed: #a1 ", "a1")],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_login_in_several_lines(pid: str, tag: str, session: str, whole: bool) -> None:
    """Tied by the header's pid, or by what PID_pat takes from the message."""
    head = rf"^[LOGTIME] \S+ {pid}"
    table = {
        "name": "acme",
        "program": "acmed",
        "PID_pat": head,
        "IP_pat": r"connect from (\d+\.\d+\.\d+\.\d+)$",
        "OK_pat": r"user (?P<user>\S+) authenticated$",
        "FAIL_pat": "authentication failed",
        "OUT_pat": "session ended$",
        "samples": [
            {"line": f"{tag}connect from 192.0.2.7", "ip": "192.0.2.7"},
            {"line": f"{tag}user bob authenticated", "user": "bob"},
            {"line": f"{tag}session ended"},
            {"line": f"{tag}authentication failed for bob", "refuse": True},
        ],
    }
    if whole:
        table |= {key: head + table[key] for key in ("IP_pat", "OK_pat", "FAIL_pat", "OUT_pat")}
    server = site_server(table)
    rest = tag.partition(": ")[2]
    assert Connected(address="192.0.2.9", session=session) == read(
        server, f"{rest}connect from 192.0.2.9"
    )
    assert Accepted(user="eve", session=session) == read(server, f"{rest}user eve authenticated")
    assert Ended(session=session) == read(server, f"{rest}session ended")
    assert Refused() == read(server, f"{rest}authentication failed whatever [203.0.113.66]")


TRANSLATED = [
    (r"^[LOGTIME] \S+ x\[\d+\]: a$", "a"),
    (r"^[LOGTIME] \S+ x: +a$", "a"),
    (r"^[LOGTIME] \S+ x:\s+a$", "a"),
    (r"^([LOGTIME]) \S+ (?:a: )?x\[\d+\]: a$", "a"),
    (r"^[LOGTIME] (?:\[|\S+ )imapd\]?: LOGIN: x$", "LOGIN: x"),
    (r"^[LOGTIME] \S+ x[^:]*: a$", "a"),
    (r"^[LOGTIME] \S+ x\:y: a$", "a"),
    (r"^[LOGTIME] \S+ x:y: a$", "a"),
    (r"^a$", "a"),
]


@pytest.mark.parametrize(("pattern", "message"), TRANSLATED)
def test_the_header_is_dropped(pattern: str, message: str) -> None:
    assert f"{message}$" == split(pattern).message


MEANINGS = [
    (r"a(\d+)$", "a12", True),
    (r"a(\d+)$", "a12x", False),
    (r"a(\d+)\Z", "a1", True),
    (r"a(\d+)\$$", "a1$", True),
    (r"(\d{1,3}\.){2}\d$", "1.2.3", None),
    (r"(?:\d{1,3}\.){2}(\d)$", "1.2.3", True),
    (r"(\d+)(?:, x|, y)?$", "1, y", True),
    (r"(\d+)(?:, x|, y)?$", "1, z", False),
    (r"(?:\S+ )?\[(\d+)\]$", "[1]", True),
    (r"(?:\S+ )?\[(\d+)\]$", "[1] [2]", True),
    (r"[],]([^]]+)[]]$", "]y]", True),
    (r"\d{3}(\d)$", "1234", True),
    (r"[[]([^[]+)[[]$", "[x[", True),
    (r"[^\s,]*, (\d)$", "ab, 1", True),
    (r"(?<ip>\d+)-(?P<user>[a-z]+)$", "1-a", True),
    (r"ims?ap(\d)$", "imap1", True),
    (r"s?s(\d)$", "s1", True),
    (r"a*?(\d)$", "aa1", True),
    (r"a++(\d)$", "aa1", True),
    (r"(\d){1}$", "1", True),
    (r"(?:a(?:b|c)){2}(\d)$", "abac1", True),
]


@pytest.mark.parametrize(("pattern", "text", "fits"), MEANINGS)
def test_a_pattern_means_what_it_meant(pattern: str, text: str, fits: bool | None) -> None:
    captures = () if "(?<" in pattern or "(?P<" in pattern else ("address",)
    if fits is None:
        with pytest.raises(GrammarError, match="repeats a group that is taken"):
            message_pattern(pattern, captures)
        return
    compiled = re.compile(message_pattern(pattern, captures), re.ASCII)
    assert fits == (compiled.fullmatch(text) is not None)
    old = re.compile(pattern.replace("(?<ip>", "(?P<ip>").replace("[[]", r"\["), re.ASCII)
    assert fits == (old.match(text) is not None)


# ------------------------------------------------------------------ what is refused, and the mend


def changed(text: str, **values: object) -> dict[str, object]:
    table = tomllib.loads(text) | values
    return {key: value for key, value in table.items() if value is not None}


REFUSED = [
    # Not safe to run, or not anchored.
    (changed(PATTERN, pat=r"Login (\S+)$"), "is not anchored: it would be found anywhere"),
    (changed(PATTERN, pat=r"^Login (\S+)"), "is not anchored at its end"),
    (changed(PATTERN, pat=r"^Login (\S+)\$"), "is not anchored at its end"),
    (changed(PATTERN, pat=r"^Login .* (\S+)$"), r"'.*' can also read what follows it (' ')"),
    (changed(PATTERN, pat=r"^Login .*? (\S+)$"), r"such as \S+"),
    (changed(PATTERN, pat=r"^Login user=\S+, ip=(\S+)$"), r"such as [^,\s]+"),
    (changed(PATTERN, pat=r"^a\S+\](\S+)$"), r"such as [^\]\s]+"),
    (changed(PATTERN, pat=r"^(\S+)\S+$"), "can also read what follows it"),
    (changed(PATTERN, pat=r"^(?:a+)+(\S+)$"), "repeats a group without a small bound"),
    (changed(PATTERN, pat=r"^(?:a?){3}(\d)$"), "repeats what may be empty"),
    (changed(PATTERN, pat=r"^(?:(?:ab|ac)?(?:ab|ac)?(?:ab|ac)?){9}x(\d)$"), "may be empty"),
    (changed(PATTERN, pat=r"^(?:(?:ab|ac)(?:ab)?){9}(\d)$"), "too many optional parts"),
    (changed(PATTERN, pat=r"^(\d)(?:ab|ac){9}$"), "too many optional parts"),
    (changed(PATTERN, pat=r"^(\d)(?=x)$"), "a construct that cannot be made safe"),
    (changed(PATTERN, pat=r"^(\d)\1$"), "is not supported; write the characters out"),
    (changed(PATTERN, pat=r"^(\d)\b$"), "is not supported"),
    (changed(PATTERN, pat=r"^(\d)[[:alpha:]]$"), "a POSIX class"),
    (changed(PATTERN, pat=r"^(\d)[z-a]$"), "bad character range"),
    (changed(PATTERN, pat=r"^(\d)^$"), "an anchor inside"),
    (changed(PATTERN, pat=r"^(\d)*$"), "without a small bound"),
    (changed(PATTERN, pat=r"^*(\d)$"), "nothing to repeat"),
    (changed(PATTERN, pat=r"^(\d$"), "a parenthesis that is never closed"),
    (changed(PATTERN, pat=r"^(\d))$"), "a parenthesis that was never opened"),
    (changed(PATTERN, pat=r"^(\d)[a$"), "is not closed"),
    (changed(PATTERN, pat=r"^(\d)(\d)$"), "one group (...) too many"),
    (changed(PATTERN, pat=r"^(?P<ip>\d)(?P<ip>\d)$"), "is taken twice"),
    (changed(PATTERN, pat=r"^Login$"), "has 0 of the 1 groups"),
    (changed(PATTERN, pat=r"^[LOGTIME] \S+ acmed (\S+)$"), "where the message begins cannot be"),
    (changed(PATTERN, pat=["^a$"]), "is not one regular expression"),
    (changed(PATTERN, pat=None), "out_pat without pat"),
    (changed(PATTERN, OK_pat="^x$"), "needs PID_pat, IP_pat and OK_pat"),
    (
        changed(PATTERN, PID_pat=r"^[LOGTIME] \S+ acmed: ", IP_pat="^(.)$", OK_pat="^x$"),
        "takes no pid",
    ),
    # Templates.
    (changed(ONE_LINE, login="user {user} logged in"), "has no {ip}"),
    (changed(ONE_LINE, login="{usr} in {ip}"), "no field {usr}"),
    (changed(ONE_LINE, login="{} in {ip}"), "no field {}"),
    (changed(ONE_LINE, login="{user} in {ip"), "a lone '{'"),
    (changed(ONE_LINE, login="{user} and {user} in {ip}"), "user is read twice"),
    (changed(ONE_LINE, login="{user} in {ip} {rest}"), "{rest} reads anything"),
    (changed(ONE_LINE, refused="{rest} {user}"), "{rest} reads anything"),
    (changed(ONE_LINE, login=7), "is not a text or a list of texts"),
    (changed(ONE_LINE, login=["{ip}", 7]), "is not a text or a list of texts"),
    (changed(ONE_LINE, login=None, logout=None, refused=None), "no line is described"),
    # The table.
    (changed(ONE_LINE, name="Acme"), "name 'Acme'; write 1 to 12 characters"),
    (changed(ONE_LINE, name=None), "name ''"),
    (changed(ONE_LINE, name="dovecot"), "there is a server 'dovecot' already"),
    (changed(ONE_LINE, program=None), "program is missing"),
    (changed(ONE_LINE, protocol="smtp"), "protocol: 'smtp' is not one of pop3, imap"),
    (changed(ONE_LINE, logon="x"), "unknown key 'logon'. Did you mean 'login'?"),
    (changed(ONE_LINE, zzz="x"), "unknown key 'zzz'."),
    # Samples.
    (changed(ONE_LINE, samples=None), "samples are missing"),
    (changed(ONE_LINE, samples=["x"]), "is not a list of tables"),
    (changed(ONE_LINE, samples=[{"user": "bob"}]), "must be { line = '...'"),
    (changed(ONE_LINE, samples=[{"line": "acmed: x", "usr": "bob"}]), "unknown key 'usr'"),
    (changed(ONE_LINE, samples=[{"line": "acmed: x", "refuse": 1}]), "must be true or false"),
    (changed(ONE_LINE, samples=[{"line": "otherd: x"}]), "no syslog header we know"),
    (
        changed(ONE_LINE, samples=[{"line": "Nov 20 09:11:13 mx1 otherd: x"}]),
        "is a line of 'otherd', which is not in program",
    ),
    (changed(ONE_LINE, samples=[{"line": "acmed x"}]), "must look like 'program[pid]: message'"),
]
LINES = tomllib.loads(ONE_LINE)["samples"]
REFUSED += [
    (changed(ONE_LINE, samples=[*LINES[1:]]), "none is read by login; add one of its lines"),
    (changed(ONE_LINE, samples=LINES[:2], refused=None), "add the line of a failed login"),
    (changed(ONE_LINE, samples=[LINES[0] | {"ip": "192.0.2.8"}]), "the sample says '192.0.2.8'"),
    (changed(ONE_LINE, samples=[LINES[0] | {"ip": "x"}]), "ip = 'x' is not an address"),
    (changed(ONE_LINE, samples=[{"line": LINES[0]["line"]}]), "the sample says None"),
    (changed(ONE_LINE, samples=[LINES[0] | {"user": "eve"}]), "reads user = 'bob'"),
    (changed(ONE_LINE, samples=[LINES[1] | {"user": "eve"}]), "reads user = 'bob'"),
    (
        changed(ONE_LINE, samples=[{"line": "acmed: user bob logged on"}]),
        "no rule reads this line; rule 'login' read up to 'user bob' and stopped at ' logged on'",
    ),
    (
        changed(ONE_LINE, samples=[*LINES, LINES[0] | {"refuse": True}]),
        "must not be read (the site says so)",
    ),
    (
        changed(ONE_LINE, accepted="user {user} logged in from {word}", samples=[
            *LINES, {"line": "acmed[7]: user bob logged in from x", "user": "bob"}]),
        "two rules read this line",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("table", "words"), REFUSED)
def test_what_is_wrong_is_refused_with_the_reason_and_the_mend(table, words: str) -> None:
    with pytest.raises((ConfigError, GrammarError)) as caught:
        site_server(table, SERVERS, read_line)
    assert words in str(caught.value)
    assert str(caught.value).startswith("[[server]]")


def test_a_whole_line_needs_a_reader_of_lines() -> None:
    with pytest.raises(GrammarError, match="no syslog header we know"):
        site_server(tomllib.loads(ONE_LINE))


def test_the_contract_holds_for_a_sites_server_too() -> None:
    """A template that reads what another of the site's servers reads."""
    first = made(ONE_LINE)
    table = changed(ONE_LINE, name="again")
    with pytest.raises(GrammarError, match="2 rules read it"):
        site_server(table, (*SERVERS, first), read_line)


# ------------------------------------------------------------------ Python files

FILE = """
from pbs_filter.grammar import Rule, Server, line, samples
from pbs_filter.model import Accepted

LINES = samples('''
acmed: in bob 192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3
acmed: in bob 203.0.113.66 x
    not: text after the end
''')
SERVER = Server(
    name="acme", title="Acme", versions="1", programs={"acmed": "pop3"},
    rules=(Rule("login", Accepted, line("in {user} {address}"), LINES),),
)
"""


def written(directory: Path, text: str) -> str:
    path = directory / "acme.py"
    path.write_text(text)
    return str(path)


def test_a_python_file_with_a_grammar(tmp_path: Path) -> None:
    server = site.checked(python_file.load(written(tmp_path, FILE)), SERVERS, read_line)
    assert "192.0.2.9" == read(server, "in eve 192.0.2.9").address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SERVER = 7", "has no SERVER = Server(...), found 7"),
        ("", "found None"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    ],
)
def test_a_python_file_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(GrammarError) as caught:
        python_file.load(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(path)


def test_a_python_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GrammarError, match="No such file"):
        python_file.load(str(tmp_path / "none.py"))


def test_a_python_grammar_that_breaks_the_contract_is_refused() -> None:
    lines = samples("""
acmed: in bob 192.0.2.7
    -> accepted user=eve address=192.0.2.7
acmed: x
    not: nothing
""")
    login = Rule("login", Accepted, line("in {user} {address}"), lines)
    server = Server(name="acme", title="", versions="", programs={"acmed": None}, rules=(login,))
    with pytest.raises(GrammarError, match="expected Accepted"):
        site.checked(server, SERVERS, read_line)
