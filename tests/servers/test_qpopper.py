"""Qpopper's lines, forged and real, and its own log files."""

from __future__ import annotations

import pytest

from .host import ALICES, BOBS, CANARY, NOW, Host

CVE = f'POP login by user "admin" at ({CANARY}) {CANARY}'


@pytest.mark.parametrize(
    "line",
    [
        f"sendmail[4711]: uAK9: ruleset=check_mail, arg1={CVE}@example.org, relay=x [198.51.100.7]",
        f'postfix/smtpd[4711]: NOQUEUE: reject: MAIL from x[198.51.100.7]: from=<"{CVE}">',
        f"popper[4711]: {CVE}",
        f"popper[4711]: {CVE}@example.org",
        f"popper[4711]: {CVE} at client.example.org (198.51.100.7): -ERR no",
        f"popper[4711]: (v4.0.9) {CVE} at client.example.org (198.51.100.7): -ERR no",
        f'popper[4711]: (v4.0.9) POP login by user "{CVE}" at (x) 192.0.2.7',
        f"popper[4711]: (v4.0.9) {CVE}@example.org",
    ],
)
def test_cve_2001_1075_authorises_nobody(line):
    Host().logs(line).has(authorised={}, in_session=set())


def test_qpoppers_statistics_at_the_end_count_once_more():
    host = Host().logs(
        'popper[4711]: (v4.0.9) POP login by user "bob" at (client.example.org) 192.0.2.7',
        "popper[4711]: Stats: bob 0 0 4 4711 client.example.org 192.0.2.7",
        "popper[4712]: Stats: alice 0 0 0 0 198.51.100.7",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session=set())


@pytest.mark.parametrize(
    "line",
    [
        "Fri Nov 20 09:11:13 2026 [4711]  Stats: bob 0 0 0 0 client.example.org 192.0.2.7",
        'Nov 20 09:11:13 [popper] (v4.0.9) POP login by user "bob" at (x) 192.0.2.7',
    ],
)
def test_qpoppers_own_log_files_are_read(line):
    host = Host()
    host.pipeline.block(line.encode() + b"\n", NOW)
    host.has(authorised={BOBS: "bob"}, in_session=set())
