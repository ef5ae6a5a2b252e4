"""What `python -m tests.real_lines` says of lines with expected values."""

import json
from pathlib import Path

import pytest

from .real_lines import main, verdict

LOGIN = "Jan  5 10:00:00 mx dovecot: imap-login: Login: user=<bob>, rip=192.0.2.7, session=<8n+h>"
END = "Jan  5 10:00:01 mx dovecot: imap(bob)<4711><8n+h>: Logged out in=1 out=2"
UNNAMED = "Jan  5 10:00:00 mx gnu-pop3d[7]: User 'bob' logged in with mailbox 'x'"
CONNECT = "Jan  5 10:00:00 mx gnu-pop3d[7]: connect from 192.0.2.7"
CONTAINER = "Jan  5 10:00:00 mx box[1]: Jan 05 10:00:00 imap-login: Info: Login: rip=192.0.2.7"


@pytest.mark.parametrize(
    ("found", "item"),
    [
        ("found", {"line": LOGIN, "expect": "login", "address": "192.0.2.7"}),
        ("found", {"line": LOGIN, "expect": "login", "ip": "::ffff:192.0.2.7"}),
        ("found", {"line": LOGIN.replace("192.0.2.7", "127.0.0.1"), "expect": "login"}),
        ("found", {"line": END, "expect": "logout", "before": [LOGIN]}),
        ("found", {"line": END, "expect": "logout"}),
        (
            "found",
            {"line": CONTAINER, "expect": "login", "config": 'programs = {dovecot = ["box"]}'},
        ),
        ("found", {"line": UNNAMED, "expect": "login", "before": [CONNECT]}),
        ("quiet", {"line": UNNAMED, "expect": "none", "before": [CONNECT]}),
        ("missed", {"line": CONTAINER, "expect": "login"}),
        ("missed", {"line": LOGIN, "expect": "login", "address": "192.0.2.8"} | {"line": END}),
        ("missed", {"line": "x", "expect": "logout"}),
        ("wrong", {"line": LOGIN, "expect": "login", "address": "192.0.2.8"}),
        ("wrong", {"line": LOGIN, "expect": "logout"}),
        ("false", {"line": LOGIN, "expect": "none"}),
        ("false", {"line": END, "expect": "none", "before": [LOGIN]}),
        ("quiet", {"line": END, "expect": "none"}),
        ("quiet", {"line": "x", "expect": "none"}),
    ],
)
def test_a_line_is_judged_by_what_it_should_give(found, item):
    assert found == verdict(item)


def test_firm_values_decide_and_matters_of_taste_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.jsonl"
    good = {"server": "dovecot", "line": LOGIN, "expect": "login"}
    taste = {"server": "dovecot", "line": LOGIN, "expect": "policy"}
    lines.write_text(json.dumps(good) + "\n" + json.dumps(taste) + "\n")
    assert 0 == main([str(lines)])
    lines.write_text(json.dumps(good) + "\n" + json.dumps(good | {"expect": "none"}) + "\n")
    assert 1 == main([str(lines)])
    said = capsys.readouterr()
    assert f"false: {LOGIN!r}\n" == said.err
    assert "dovecot" + " " * 33 + "       1       0       0       1       0\n" in said.out
    assert said.out.endswith("1 firm values not met\n")
