"""sendmail with Debian's own sendmail.mc, listening on the test's network, and one line more."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemons.process import Process
from . import IPV6_SERVER, LOOKUP_UID, SERVER, Mta

_INCLUDE = "include(`/etc/mail/pbs-filter.m4')dnl\n"
"""What the README tells to add at the end of sendmail.mc."""
_SENDERS = "define(`PBS_SENDERS', `1')dnl\n"
_ACCESS = """\
Connect:192.0.2.8\tRELAY
GreetPause:192.0.2\t0
GreetPause:IPv6:2001:db8\t0
GreetPause:198.51.100\t0
"""


class Sendmail(Mta):
    name = "sendmail"
    packages = (
        "sendmail-bin", "sendmail-cf", "sendmail-base", "m4", "dash", "coreutils", "sed", "grep",
    )  # fmt: skip
    senders = ""
    """The text of /etc/pbs-senders, where senders are bound to users."""
    service_accounts = (("smmta", 61221), ("smmsp", 61222))

    def configure(self) -> Sequence[Process]:
        shipped = (self.root.path / "usr/share/sendmail/cf/debian/sendmail.mc").read_text()
        only_local = "Port=smtp, Addr=127.0.0.1"
        assert only_local in shipped, "Debian's sendmail.mc has changed"
        listening = shipped.replace(only_local, f"Port=smtp, Addr={SERVER}").replace(
            "dnl DAEMON_OPTIONS(`Family=inet6, Name=MTA-v6, Port=smtp, Addr=::1')dnl",
            f"DAEMON_OPTIONS(`Family=inet6, Name=MTA-v6, Port=smtp, Addr={IPV6_SERVER}')dnl",
        )
        # The clients' addresses are this host's own here, which sendmail would let relay; and there
        # is no DNS that could know a sender's domain.
        ours = (
            "define(`confDONT_PROBE_INTERFACES', `True')dnl\n"
            "FEATURE(`accept_unresolvable_domains')dnl\n"
            "MAILER_DEFINITIONS"
        )
        assert "MAILER_DEFINITIONS" in shipped
        last = (_SENDERS if self.senders else "") + _INCLUDE
        self.root.write(
            "/etc/mail/sendmail.mc", listening.replace("MAILER_DEFINITIONS", ours) + last
        )
        self.root.write("/etc/mail/pbs-filter.m4", self.example("sendmail/pbs-filter.m4"))
        for name in ("dialup", "provider"):
            self.root.write(f"/etc/mail/m4/{name}.m4", "")
        self.root.write("/etc/mail/local-host-names", "lab.test\n")
        self.root.write("/etc/mail/trusted-users", "")
        self.root.write("/etc/mail/aliases", "")
        self.root.write("/etc/mail/access", _ACCESS)
        self.root.write("/etc/hostname", "mx1\n")
        self.root.write("/etc/mail/sendmail.cf", self.root.run(
            "/usr/bin/m4", "/etc/mail/sendmail.mc"))  # fmt: skip
        makemap = "/usr/libexec/sendmail/makemap"
        for name in ("access", "aliases"):
            text = (self.root.path / "etc/mail" / name).read_text()
            self.root.run(makemap, "hash", f"/etc/mail/{name}", text=text)
        for directory in ("/var/spool/mqueue", "/var/run/sendmail/mta", "/var/lib/sendmail"):
            self.root.directory(directory, owner=61221, mode=0o755)
        self.root.directory("/run/pbs-lookup", owner=LOOKUP_UID)
        bound = []
        if self.senders:
            self.root.write("/etc/pbs-senders", self.senders)
            bound = ["--senders=/etc/pbs-senders"]
        return [
            # The daemon runs as root, which is in every group.
            self.serve(
                *("--user=pbs-lookup", "--mode=0600"),
                *("--socketmap=unix:/run/pbs-lookup/socketmap", *bound),
            ),
            self.process("/usr/libexec/sendmail/sendmail", "-bD", name="sendmail"),
        ]
