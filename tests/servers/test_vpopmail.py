"""Services that vchkpw writes about."""

from __future__ import annotations

import pytest

from pbs_filter.model import Accepted, Ignored

from .host import BOBS, CANARY, Host, read


@pytest.mark.parametrize("service", ["pop3", "pop3s", "imap", "imaps"])
@pytest.mark.parametrize("words", ["(PLAIN) login success ", "system password login success "])
def test_the_pop_and_imap_services_of_vchkpw_authorise(service, words):
    said = read("vpopmail", f"vchkpw-{service}: {words}bob@example.org:192.0.2.7")
    assert (
        Accepted(user="bob@example.org", address="192.0.2.7", protocol=service.removesuffix("s"))
        == said
    )


@pytest.mark.parametrize("service", ["smtp", "smtps", "submission", "webmail", "25", "587", "1110"])
@pytest.mark.parametrize("words", ["(PLAIN) login success ", "system password login success "])
def test_the_other_services_of_vchkpw_authorise_nobody(service, words):
    said = read("vpopmail", f"vchkpw-{service}: {words}bob@example.org:{CANARY}")
    assert Ignored() == said


def test_vchkpw_without_a_service_counts_only_where_it_is_enabled():
    line = "vpopmail[4711]: vchkpw: login success bob@example.org:192.0.2.7"
    Host().logs(line).has(authorised={}, in_session=set())
    host = Host(enable=("vpopmail-unnamed",)).logs(line)
    host.has(authorised={BOBS: "bob@example.org"}, in_session=set())
