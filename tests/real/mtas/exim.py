"""Exim with Debian's own configuration, made by its own update-exim4.conf."""

from __future__ import annotations

from collections.abc import Sequence

from ..daemons.process import Process
from . import LOOKUP_UID, Mta

_DEBCONF = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='lab.test'
dc_local_interfaces=''
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets='198.51.100.0/28'
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='{split}'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
REFUSAL = "  require\n    message = relay not permitted\n"
"""What the README tells to look for: the block above which the include goes."""


class Exim(Mta):
    name = "exim"
    packages = (
        "exim4-daemon-heavy", "exim4-config", "tinycdb",
        "dash", "coreutils", "sed", "grep", "debianutils", "gawk", "util-linux", "hostname",
    )  # fmt: skip
    service_accounts = (("Debian-exim", 61211), ("uucp", 10))

    acl = "pbs-filter.acl"
    split = True
    service = True
    senders = ""
    """The text of /etc/pbs-senders, where senders are bound to users."""

    def configure(self) -> Sequence[Process]:
        self.root.write("/etc/mailname", "lab.test\n")
        self.root.write("/etc/hostname", "mx1\n")
        self.root.write("/etc/aliases", "")
        self.root.write(
            "/etc/exim4/update-exim4.conf.conf",
            _DEBCONF.format(split="true" if self.split else "false"),
        )
        name = "conf.d/acl/30_exim4-config_check_rcpt" if self.split else "exim4.conf.template"
        shipped = (self.root.path / "etc/exim4" / name).read_text()
        assert shipped.count(REFUSAL) == 1, "Debian's acl_check_rcpt has changed"
        self.root.write(
            f"/etc/exim4/{name}",
            shipped.replace(REFUSAL, "  .include /etc/exim4/pbs-filter.acl\n\n" + REFUSAL),
        )
        acl = self.example(f"exim/{self.acl}")
        if self.senders:
            self.root.write("/etc/pbs-senders", self.senders)
            readme = self.example("exim/README.md")
            old, new = (
                readme.partition(f"<!-- {name} -->\n")[2].partition("\n")[0].strip()
                for name in ("without senders", "with senders")
            )
            assert acl.count(old) == 1
            acl = acl.replace(old, new)
        self.root.write("/etc/exim4/pbs-filter.acl", acl)
        for directory in ("/var/lib/exim4", "/var/log/exim4", "/var/spool/exim4"):
            self.root.directory(directory, owner=61211)
        self.root.run("/usr/sbin/update-exim4.conf")
        exim = self.process("/usr/sbin/exim4", "-bdf", "-oP", "/run/exim.pid", name="exim")
        if not self.service:
            return [exim]
        self.root.directory("/run/pbs-lookup", owner=LOOKUP_UID)
        return [
            self.serve(
                "--user=pbs-lookup",
                "--group=Debian-exim",
                "--socketmap=unix:/run/pbs-lookup/socketmap",
                *(["--senders=/etc/pbs-senders"] if self.senders else []),
            ),
            exim,
        ]
