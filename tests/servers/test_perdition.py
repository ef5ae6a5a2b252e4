"""Sessions of perdition."""

from __future__ import annotations

from .host import BOBS, Host


def test_perdition_relogs_a_session_and_ends_it_once():
    auth = (
        f"perdition.imap4[81]: Auth: {BOBS}:50001->192.0.2.1:143 client-secure=plaintext "
        'authorisation_id=NONE authentication_id="bob" server="10.0.0.5:143" protocol=IMAP4 '
        'server-secure=plaintext status="ok"'
    )
    host = Host().logs(f"perdition.imap4[81]: Connect:  {BOBS}:50001->192.0.2.1:143", auth, auth)
    host.has(authorised={BOBS: "bob"}, in_session={BOBS})
    host.logs("perdition.imap4[81]: Fatal error piping data. Exiting child.")
    host.has(authorised={BOBS: "bob"}, in_session=set())
