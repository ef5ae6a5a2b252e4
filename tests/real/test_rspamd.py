"""rspamd: who may relay counts as an authenticated user, by the exported list and as it is now."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbs_filter.export import formats

from .daemons.process import Process, wait_for
from .mtas import CLIENT, ENVIRONMENT, EXAMPLES, FILTER_UID, IPV6_CLIENT, STRANGER
from .mtas.namespace import Namespace
from .roots import PrivateRoot

RSPAMD_UID, REDIS_UID = 61271, 61272
LIST = "/var/lib/pbs-filter/relay.cidr"
MESSAGE = b"""\
From: bob@example.org\r
To: foo@remote.example\r
Subject: hello\r
Date: Sat, 28 Nov 2026 14:00:00 +0000\r
Message-ID: <1@example.org>\r
\r
from the scanner\r
"""
OPTIONS = """\
# No DNS here but this; and what makes the start slow is left out.
dns {
  nameserver = ["127.0.0.1"];
  timeout = 0.1s;
  retransmits = 1;
  fake_records = [
    { name = "example.org"; type = txt; replies = ["v=spf1 -all"]; },
    { name = "_dmarc.example.org"; type = txt; replies = ["v=DMARC1; p=reject"]; }
  ];
}
disable_hyperscan = true;
url_tld = "/etc/rspamd/tld";
"""
SIGNING = 'domain { example.org { path = "/var/lib/rspamd/mail.key"; selector = "mail"; } }\n'


class Rspamd:
    """With Debian's configuration and Redis, as greylisting needs it."""

    def __init__(self, directory: Path, suite: str) -> None:
        self.root = PrivateRoot(
            "rspamd", "redis-server",
            service_accounts=(("_rspamd", RSPAMD_UID), ("pbs-filter", FILTER_UID)),
            suite=suite,
        )  # fmt: skip
        self.network = Namespace([])
        root = self.root
        for name in ("/var/lib/rspamd", "/var/log/rspamd", "/run/rspamd"):
            root.directory(name, owner=RSPAMD_UID)
        root.directory("/dev/shm", mode=0o1777)
        root.write("/etc/rspamd/tld", "example\norg\ncom\n")
        root.write("/etc/rspamd/local.d/options.inc", OPTIONS)
        for name in ("redis", "greylist"):
            root.write(f"/etc/rspamd/local.d/{name}.conf", 'servers = "127.0.0.1:6379";\n')
        for name in ("asn", "rbl", "fuzzy_check", "surbl"):
            root.write(f"/etc/rspamd/local.d/{name}.conf", "enabled = false;\n")
        root.write("/etc/rspamd/local.d/dkim_signing.conf", SIGNING)
        root.write("/etc/rspamd/local.d/logging.inc", 'type = "console";\n')
        ours = (EXAMPLES / "filters/rspamd.local.lua").read_text()
        root.write("/etc/rspamd/rspamd.local.lua", ours)
        root.run("/usr/bin/rspamadm", "dkim_keygen", "-s", "mail", "-d", "example.org",
                 "-k", "/var/lib/rspamd/mail.key")  # fmt: skip
        os.chown(root.path / "var/lib/rspamd/mail.key", RSPAMD_UID, RSPAMD_UID)
        # As the README has it: the list is the filter's group's, and rspamd is one of that.
        group = (root.path / "etc/group").read_text()
        root.write("/etc/group", group.replace(
            f"pbs-filter:x:{FILTER_UID}:", f"pbs-filter:x:{FILTER_UID}:_rspamd"))  # fmt: skip
        place = root.directory("/var/lib/pbs-filter", mode=0o750)
        os.chown(place, FILTER_UID, FILTER_UID)
        self.listed()
        redis = ("/usr/bin/redis-server", "--save", "", "--dir", "/tmp")
        rspamd = ("/usr/bin/rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd")
        self.processes = [
            Process(
                Path(argv[0]).name,
                [*self.network.command(), *root.command(*argv)],
                output=directory / f"{Path(argv[0]).name}.out",
                ready=ready,
                environment=ENVIRONMENT,
            )
            for argv, ready in ((redis, lambda: True), (rspamd, self._answers))
        ]

    def close(self) -> None:
        self.root.close()
        self.network.close()

    def listed(self, *addresses: str) -> None:
        """Put them into the list, as the exporter does."""
        text = formats.FORMATS["cidr"].render([(each, 0) for each in addresses]).decode()
        fresh = self.root.write(f"{LIST}.new", text, mode=0o640)
        os.chown(fresh, FILTER_UID, FILTER_UID)
        fresh.rename(self.root.path / LIST.lstrip("/"))

    def _answers(self) -> bool:
        try:
            return bool(self.scan(STRANGER))
        except (urllib.error.URLError, ConnectionError):
            return False

    def scan(self, address: str, user: str = "") -> dict[str, Any]:
        """What rspamd makes of a message to elsewhere from a client at `address`."""
        headers = {"IP": address, "From": "bob@example.org", "Rcpt": "foo@remote.example"}
        if user:
            headers["User"] = user

        def ask() -> dict[str, Any]:
            request = urllib.request.Request(
                "http://127.0.0.1:11333/checkv2", data=MESSAGE, headers=headers
            )
            with urllib.request.urlopen(request, timeout=60) as reply:
                result: dict[str, Any] = json.load(reply)
                return result

        return self.network.inside(ask)


@pytest.fixture(scope="module", params=["", "trixie"], ids=["Debian 12", "Debian 13"])
def rspamd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rspamd]:
    server = Rspamd(tmp_path_factory.mktemp("rspamd"), request.param)
    try:
        with server.processes[0], server.processes[1]:
            yield server
    finally:
        server.close()


def test_mail_of_who_may_relay_is_signed_and_neither_refused_nor_greylisted(
    rspamd: Rspamd,
) -> None:
    for address in (CLIENT, IPV6_CLIENT):
        found = rspamd.scan(address)
        assert "POP_BEFORE_SMTP" not in found["symbols"]
        assert "dkim-signature" not in found
        # The message is greylisted at once the second time; the first showed why it is refused.
        assert found["action"] in ("soft reject", "reject", "greylist"), found
    rspamd.listed(CLIENT, IPV6_CLIENT)
    wait_for(lambda: "POP_BEFORE_SMTP" in rspamd.scan(CLIENT)["symbols"], "the list to be read", 60)
    for address in (CLIENT, IPV6_CLIENT):
        found = rspamd.scan(address)
        assert {"POP_BEFORE_SMTP", "DKIM_SIGNED"} <= set(found["symbols"])
        assert set() == {"R_SPF_FAIL", "DMARC_POLICY_REJECT", "GREYLIST"} & set(found["symbols"])
        assert "no action" == found["action"]
        assert "d=example.org" in found["dkim-signature"]
    assert "POP_BEFORE_SMTP" not in rspamd.scan("203.0.113.66")["symbols"]
    rspamd.listed(IPV6_CLIENT)
    wait_for(lambda: "DKIM_SIGNED" not in rspamd.scan(CLIENT)["symbols"], "the end", 60)
    assert "DKIM_SIGNED" in rspamd.scan(IPV6_CLIENT)["symbols"]


def test_an_authenticated_user_stays_who_he_is(rspamd: Rspamd) -> None:
    rspamd.listed(CLIENT)
    wait_for(lambda: "POP_BEFORE_SMTP" in rspamd.scan(CLIENT)["symbols"], "the list to be read", 60)
    assert "POP_BEFORE_SMTP" not in rspamd.scan(CLIENT, "carol@example.net")["symbols"]
