"""relaylock between tcpserver or couriertcpd and a real SMTP server."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mtas import CLIENT, LOCAL, OTHER_CLIENT, STRANGER, Mta
from .mtas.contract import Contract
from .mtas.courier import Courier
from .mtas.qmail import Qmail

QMAIL_YES = "250 2.1.5 Recipient accepted."
QMAIL_NO = "550 5.1.0 Mail system is not configured to accept that recipient"
COURIER_YES, COURIER_NO = "250 Ok.", "513 Relaying denied."
REFUSAL = r"451 4\.3\.0 Cannot check now whether you may relay, try again later"


class StrictQmail(Qmail):
    on_trouble = "refuse"


class StrictCourier(Courier):
    on_trouble = "refuse"


class TestTcpserver(Contract):
    """For a port of the site's own clients: trouble is a 451 in place of the greeting."""

    make = StrictQmail
    counted_as = ("qmail", "relaylock")
    yes, no, later = QMAIL_YES, QMAIL_NO, REFUSAL
    inbound_goes_on = False
    test_the_same_for_ipv6 = None  # type: ignore[assignment]  # Debian's tcpserver has no IPv6

    def test_those_who_may_relay_anyway_still_may(self, mta: Mta) -> None:
        assert self.yes == mta.rcpt(OTHER_CLIENT)


class TestCouriertcpd(Contract):
    make = StrictCourier
    counted_as = ("courier", "relaylock")
    yes, no, later = COURIER_YES, COURIER_NO, REFUSAL
    inbound_goes_on = False


class Courier13(StrictCourier):
    """Courier 1.4 of Debian 13."""

    suite = "trixie"


class TestCouriertcpdOfDebian13(TestCouriertcpd):
    make = Courier13


@pytest.mark.parametrize(
    ("make", "no"), [(Qmail, QMAIL_NO), (Courier, COURIER_NO)], ids=["tcpserver", "couriertcpd"]
)
def test_a_port_that_takes_mail_from_the_world_goes_on_taking_it(
    make: type[Mta], no: str, tmp_path: Path
) -> None:
    """As the examples are: no temporary refusal is possible there, so an authorised client gets a
    permanent one; but never a yes, and mail for us comes in."""
    with make(tmp_path) as mta:
        mta.allow(CLIENT)
        assert mta.rcpt(CLIENT).startswith("250")
        for trouble in (mta.map.unlink, lambda: mta.map.mkdir()):
            trouble()
            assert no == mta.rcpt(CLIENT)
            assert mta.rcpt(STRANGER, LOCAL).startswith("250")
        mta.clear()
        mta.allow(CLIENT)
        with mta.locked():
            assert no == mta.rcpt(CLIENT)
            assert mta.rcpt(STRANGER, LOCAL).startswith("250")
        assert mta.rcpt(CLIENT).startswith("250")
