"""A session of tpop3d, written about by two processes."""

from __future__ import annotations

from .host import ALICES, BOBS, Host


def test_tpop3d_child_ends_the_session_its_parent_wrote_about():
    began = "began session for `bob' with pam"
    host = Host().logs(
        f"tpop3d[80]: listeners_post_select: client [9]{BOBS}/192.0.2.1: connected to local "
        "address 192.0.2.1:110",
        f"tpop3d[80]: authcontext_new_user_pass: {began}; uid 1000, gid 8",
        f"tpop3d[80]: fork_child: [9]bob({BOBS}): {began}; child PID is 81",
        f"tpop3d[80]: fork_child: [9]bob({ALICES}): {began}; child PID is 82",
        f"tpop3d[81]: connections_post_select: client [9]bob({BOBS}): finished session for `bob' "
        "with pam",
        f"tpop3d[81]: connections_post_select: client [9]bob({BOBS}): disconnected; 6/40 bytes "
        "read/written",
    )
    host.has(authorised={BOBS: "bob", ALICES: "bob"}, in_session={ALICES})
    assert not host.pipeline.counts.unread
