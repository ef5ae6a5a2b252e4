"""Sessions of solid-pop3d."""

from __future__ import annotations

from .host import ALICES, BOBS, CANARY, Host


def test_solid_pop3d_without_logextend_ties_each_login_to_its_own_connection():
    host = Host().logs(
        f"spop3d[81]: connect from {BOBS} ({BOBS})",
        f"spop3d[81]: connect from dsl7.example.net ({BOBS})",
        f"spop3d[82]: connect from {CANARY} ({ALICES})",
        "spop3d[82]: mapped user alice authenticated",
        "spop3d[81]: user bob authenticated through APOP",
        "spop3d[83]: session ended",
        "spop3d[82]: session ended for mapped user alice",
    )
    host.has(authorised={BOBS: "bob", ALICES: "alice"}, in_session={BOBS})


def test_solid_pop3d_root_is_let_go_of_again_when_it_is_refused():
    host = Host().logs(
        f"solid-pop3d[81]: user root authenticated - {BOBS}",
        f"solid-pop3d[81]: root login not allowed - {BOBS}",
    )
    host.has(authorised={BOBS: "root"}, in_session=set())
