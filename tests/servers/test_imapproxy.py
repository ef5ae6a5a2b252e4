"""Sessions of imapproxy."""

from __future__ import annotations

from .host import ALICES, BOBS, Host


def test_imapproxy_descriptor_is_somebody_elses_after_the_logout():
    host = Host().logs(
        f"in.imapproxyd[80]: LOGIN: 'bob' ({BOBS}:50001) no previous connection: creating a new "
        "one",
        f"in.imapproxyd[80]: LOGIN: 'bob' ({BOBS}:50001) on new sd [9]",
        "in.imapproxyd[80]: LOGOUT: 'bob' from server sd [9]",
        f"in.imapproxyd[80]: LOGIN: 'bob' ({ALICES}:50001) on existing sd [9]",
    )
    host.has(authorised={BOBS: "bob", ALICES: "bob"}, in_session={ALICES})
