"""sendmail: the socket map of `pbs-lookup serve`, asked in Local_check_rcpt."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .. import hang
from .mtas import (
    CLIENT,
    ENVIRONMENT,
    EXAMPLES,
    IPV6_CLIENT,
    LOCAL,
    OTHER_CLIENT,
    STRANGER,
    hung_socket,
)
from .mtas.contract import Contract, logged
from .mtas.sendmail import Sendmail


class TestSocketMap(Contract):
    make = Sendmail
    counted_as = ("sendmail", "socketmap")
    yes, no = "250 2.1.5", "550 5.7.1 <foo@remote.example>... Relaying denied"
    later = r"451 4\.3\.0 Cannot check now whether you may relay, try again later"

    def test_those_who_may_relay_anyway_still_may(self, mta: Sendmail) -> None:
        """A `Connect:ADDRESS RELAY` of the access map counts, also without the service."""
        mta.processes["pbs-lookup"].stop()
        try:
            assert mta.rcpt(OTHER_CLIENT).startswith(self.yes)
        finally:
            mta.processes["pbs-lookup"].start()

    def test_without_the_service_relaying_waits_and_mail_for_us_comes_in(
        self, mta: Sendmail
    ) -> None:
        mta.allow(CLIENT)
        mta.processes["pbs-lookup"].stop()
        try:
            self.assert_not_now(mta)
        finally:
            mta.processes["pbs-lookup"].start()
        assert mta.rcpt(CLIENT).startswith(self.yes)

    def test_a_service_that_hangs_keeps_only_relaying_waiting(self, mta: Sendmail) -> None:
        """sendmail's own limit for a socket map is 30 s."""
        mta.allow(CLIENT)
        mta.processes["pbs-lookup"].stop()
        try:
            with hung_socket(mta.root.alias / "run/pbs-lookup/socketmap"):
                with hang.ends(25):  # less than that limit: it was not asked
                    assert mta.rcpt(STRANGER, LOCAL).startswith(self.yes)
                with hang.ends(90):
                    assert mta.rcpt(CLIENT).startswith("451")
        finally:
            mta.processes["pbs-lookup"].start()

    def test_the_readmes_address_test_gives_the_same(self, mta: Sendmail) -> None:
        mta.allow(CLIENT)
        for address, result in ((CLIENT, "$# OK"), (STRANGER, "you @ elsewhere . example")):
            asked = f".D{{client_addr}}{address}\nLocal_check_rcpt you@elsewhere.example\n"
            test_mode = mta.process("/usr/libexec/sendmail/sendmail", "-bt").argv
            said = subprocess.run(
                test_mode, input=asked, capture_output=True, text=True, env=ENVIRONMENT, check=False
            ).stdout
            assert f"Local_check_rcpt returns: {result}\n" in said

    def test_the_log_says_that_the_map_was_the_reason(self, mta: Sendmail) -> None:
        mta.map.unlink()
        mta.rcpt(CLIENT)
        logged(mta, "reject=451 4.3.0 Cannot check now whether you may relay")
        assert (
            "cannot answer: map /var/lib/pbs-filter/map.gdbm: No such file or directory"
            in mta.processes["pbs-lookup"].said()
        )


class Sendmail13(Sendmail):
    """sendmail 8.18 of Debian 13."""

    suite = "trixie"


class TestSocketMapOfDebian13(TestSocketMap):
    make = Sendmail13


class Bound(Sendmail):
    senders = (EXAMPLES / "postfix/senders").read_text()


class Bound13(Bound):
    suite = "trixie"


@pytest.mark.parametrize("make", [Bound, Bound13])
def test_an_address_relays_only_for_the_senders_of_its_user(
    tmp_path: Path, make: type[Bound]
) -> None:
    yes, no = "250 2.1.5", "550 5.7.1"
    with make(tmp_path) as mta:
        mta.allow(CLIENT, user="alice@example.org")
        mta.allow(IPV6_CLIENT, user="bob@example.org")
        mta.allow(f"{CLIENT}7", user="alice@example.org")
        for source, sender, reply in (
            (CLIENT, "alice@example.org", yes),
            (CLIENT, "Alice@Example.org", yes),
            (CLIENT, "mallory@example.org", no),
            (CLIENT, "bob@example.org", no),
            (CLIENT, "", no),
            (CLIENT, '"x alice"@example.org', no),
            (IPV6_CLIENT, "sales@example.org", yes),
            (IPV6_CLIENT, "alice@example.org", no),
            (STRANGER, "alice@example.org", no),
        ):
            assert mta.rcpt(source, sender=sender).startswith(reply), (source, sender)
        # No sender may lengthen the address that is asked for.
        mta.clear()
        mta.allow(f"{CLIENT}7", user="alice@example.org")
        for sender in ('"7 alice"@example.org', '"7\\ alice"@example.org', "7@example.org"):
            assert mta.rcpt(CLIENT, sender=sender).startswith("5"), sender
        assert mta.rcpt(STRANGER, LOCAL, sender="mallory@example.org").startswith(yes)
        mta.map.unlink()
        assert mta.rcpt(CLIENT, sender="alice@example.org").startswith("451")
