"""Sessions of GNU mailutils, by id and by process."""

from __future__ import annotations

import pytest

from pbs_filter.model import Accepted

from .host import ALICES, BOBS, CANARY, Host, read


def test_mailutils_ties_the_address_to_the_login_by_session_id_across_processes():
    host = Host().logs(
        "pop3d[100]: 2AK8nIji 192.0.2.7",
        "pop3d[100]: 2AK8nIjj 2001:DB8:0:0:0:0:0:7",
        "pop3d[102]: 2AK8nIjj user `alice' logged in with mailbox `/var/mail/alice' (0 messages)",
        "pop3d[101]: 2AK8nIji user `bob' logged in with mailbox `/var/mail/bob' (0 messages)",
    )
    host.has(authorised={BOBS: "bob", "2001:db8::7": "alice"}, in_session={BOBS, "2001:db8::7"})
    host.logs("pop3d[101]: 2AK8nIji session ended for user: bob", "pop3d[102]: 2AK8nIjj I/O error")
    host.has(authorised={BOBS: "bob", "2001:db8::7": "alice"}, in_session=set())


def test_mailutils_without_session_ids_authorises_nobody():
    host = Host().logs(
        "pop3d[100]: 192.0.2.7",
        "pop3d[100]: user `bob' logged in with mailbox `/var/mail/bob' (0 messages)",
    )
    host.has(authorised={}, in_session=set())


def test_another_connections_session_id_does_not_help():
    host = Host().logs(
        f"imap4d[100]: 2AK8nIji {CANARY}",
        "imap4d[101]: 2AK8nIjj user `bob' logged in (source: system)",
    )
    host.has(authorised={}, in_session=set())


@pytest.mark.parametrize("size", [480, 1024, 2048, 8192])
def test_a_line_of_mailutils_that_a_daemon_cut_is_no_login(size):
    for name in ("bob' logged in with mailbox `", "bob' logged in (source: "):
        refusal = f"2AK8nIji user `{name}" + "a" * size
        for end in ("", "'", "' (0 messages)", ")"):
            cut = refusal[: size - len(end)] + end
            said = read("pop3d", cut)
            assert not isinstance(said, Accepted), cut


def test_old_mailutils_ties_the_address_to_the_login_by_pid():
    host = Host().logs(
        "gnu-pop3d[100]: connect from 192.0.2.7",
        "gnu-pop3d[101]: connect from 198.51.100.7",
        "gnu-pop3d[101]: User 'alice' logged in with mailbox '/var/mail/alice' (2 msgs)",
        "gnu-pop3d[100]: User 'bob' logged in with mailbox '/var/mail/bob' (2 msgs)",
        "gnu-pop3d[100]: Session ended for user: bob",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={ALICES})
