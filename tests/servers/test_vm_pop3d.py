"""Sessions of vm-pop3d."""

from __future__ import annotations

from pbs_filter.model import Reason

from .host import ALICES, BOBS, CANARY, Host


def test_vm_pop3d_ties_each_login_to_its_own_connection():
    host = Host().logs(
        f"vm-pop3d[81]: Connect from {BOBS}",
        f"vm-pop3d[82]: Connect from {ALICES}",
        "vm-pop3d[82]: User 'alice' of 'example.org' logged in",
        "vm-pop3d[81]: User 'bob' logged in",
        "vm-pop3d[81]: Session ended for user: bob",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={ALICES})


def test_vm_pop3d_connection_without_an_address_does_not_get_an_older_ones():
    host = Host().logs(
        f"vm-pop3d[81]: Connect from {CANARY}",
        "vm-pop3d[81]: Incoming connection opened",
        "vm-pop3d[81]: User 'bob' logged in",
    )
    assert not host.authorised
    assert Reason.UNKNOWN_SESSION in host.pipeline.counts.reasons


def test_vm_pop3d_ipv6_client_written_as_zeros_is_nobody():
    host = Host().logs("vm-pop3d[81]: Connect from 0.0.0.0", "vm-pop3d[81]: User 'bob' logged in")
    assert not host.authorised
    assert Reason.SPECIAL_ADDRESS in host.pipeline.counts.reasons
