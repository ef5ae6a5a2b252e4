"""The whole way of an administrator on a booted Debian: from the package's installation to its
purge, with a feed, an MTA and Dovecot, by the commands that README names."""

from __future__ import annotations

import contextlib
import dataclasses
import poplib
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..real.booted import Booted
from ..real.daemons.process import wait_for
from ..real.mtas import CLIENT, IPV6_CLIENT, IPV6_SERVER, OTHER_CLIENT, REMOTE, SERVER, STRANGER
from ..real.packages import CHECKOUT
from ..real.roots import ACCOUNTS

ADDRESSES = (CLIENT, OTHER_CLIENT, IPV6_CLIENT, STRANGER, SERVER, IPV6_SERVER)
BOB = next(account for account in ACCOUNTS if account.name == "bob")
FORGED = f"imap-login: Login: user=<bob>, method=PLAIN, rip={STRANGER}, lip={SERVER}, mpid=7, TLS"
FEEDS = {"rsyslog": "rsyslog", "syslog-ng": "syslog-ng-core", "journal": ""}
MTAS = {"postfix": "postfix", "exim": "exim4-daemon-light"}
_EXIM = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='lab.test'
dc_local_interfaces=''
dc_use_split_config='true'
"""
SHORT_SECONDS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A machine: a Debian with a feed and an MTA, each by the name that --setup has for it."""

    suite: str
    feed: str
    mta: str

    def __str__(self) -> str:
        return f"{self.suite}+{self.feed}+{self.mta}"


ALL = tuple(
    Kind(suite, feed, mta)
    for suite in ("bookworm", "trixie")
    for feed, mta in (("rsyslog", "postfix"), ("syslog-ng", "exim"), ("journal", "postfix"))
)


def chosen(words: Sequence[str]) -> tuple[Kind, ...]:
    """The machines whose name has one of the words; without a word all of them.

    Raises:
        ValueError: a word is in no name.
    """
    names = " ".join(map(str, ALL))
    if strange := [word for word in words if word not in names or not word]:
        raise ValueError(f"no journey is named {strange[0]!r}; there are: {names}")
    return tuple(kind for kind in ALL if not words or any(word in str(kind) for word in words))


def why_not() -> str:
    """Why no machine can be booted here; empty: it can."""
    probe = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--cgroup", "sh", "-c",
         "mount -t tmpfs tmpfs /mnt && mount -t cgroup2 cgroup2 /mnt"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return probe.stdout.strip() if probe.returncode != 0 else ""


def build(directory: Path) -> Path:
    """The Debian package, by README's command."""
    directory.mkdir()
    said = subprocess.run(
        [CHECKOUT / "examples/debian/build", directory],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Path(said.stdout.strip())


class Journey(contextlib.ExitStack):
    """One machine and what is done there. `tell` gets each step, as it is done."""

    def __init__(
        self, kind: Kind, package: Path, directory: Path, tell: Callable[[str], None]
    ) -> None:
        super().__init__()
        self.kind = kind
        self.package = package
        self._tell = tell
        self._began = time.monotonic()
        packages = [name for name in (FEEDS[kind.feed], MTAS[kind.mta], "dovecot-pop3d") if name]
        self.machine = self.enter_context(
            Booted(directory, *packages, suite=kind.suite, addresses=ADDRESSES)
        )
        self.said("booted")
        self._prepare()

    def said(self, step: str) -> None:
        """Tell what has been done, and how long it took."""
        now = time.monotonic()
        self._tell(f"{self.kind} {now - self._began:5.1f} s  {step}")
        self._began = now

    def type(self, command: str, status: int | None = 0) -> str:
        """What a shell command said there; it must end with `status`."""
        said = self.machine.shell(command, status)
        self.said(f"# {command}")
        return said

    def _prepare(self) -> None:
        """What a mail server has before pbs-filter comes: an account, and an MTA on the net."""
        self.machine.run("useradd", "--create-home", "--password", BOB.crypted, BOB.name)
        self.machine.shell("install -o bob -g mail -m 600 /dev/null /var/mail/bob")
        if self.kind.mta == "exim":
            (self.machine.path / "etc/exim4/update-exim4.conf.conf").write_text(_EXIM)
            self.machine.shell("update-exim4.conf && systemctl restart exim4")
        else:
            self.machine.run("postconf", "-e", "smtpd_peername_lookup=no", "mydestination=lab.test")
            self.machine.run("systemctl", "restart", "postfix")
        wait_for(lambda: self.rcpt(CLIENT), "the MTA")

    # ------------------------------------------------------------------ steps

    def install(self) -> None:
        """The package; it changes nothing by itself."""
        self.machine.install(self.package)
        self.said(f"# apt-get install --no-install-recommends ./{self.package.name}")
        for place in ("etc/rsyslog.d", "etc/syslog-ng/conf.d", "etc/systemd/system"):
            assert [] == list((self.machine.path / place).rglob("*pbs*"))

    def switch_on(self) -> None:
        """README's step 2, with the command that --setup offers."""
        said = self.type("pbs-filter --setup")
        command = f"pbs-filter --setup {self.kind.feed} {self.kind.mta} --apply"
        assert f"--setup {self.kind.feed} {self.kind.mta}" in said, said
        self._do_what_it_says(self.type(command))

    def _do_what_it_says(self, said: str) -> None:
        commands = said.partition("what it read before):\n")[2].partition("\n\n")[0]
        assert commands.strip(), said
        for command in commands.splitlines():
            self.type(command.strip())

    def doctor(self) -> None:
        """README's step 3: all is well."""
        said = self.type("pbs-filter --doctor", status=None)
        assert said.endswith("all is well\n"), said

    def log_in_and_relay(self, source: str = CLIENT) -> None:
        """Refused, a login by POP3 with TLS, and accepted; a stranger and a forger are not."""
        assert self.rcpt(source)[0] in "45", self.rcpt(source)
        self.log_in(source)
        wait_for(lambda: self.rcpt(source).startswith("250"), f"the relay of {source}")
        self.said(f"{source} logged in, and relays")
        self.machine.run("runuser", "-u", "bob", "--", "logger", "-t", "dovecot", FORGED)
        wait_for(lambda: "bob" in self._forgeries(), "the forged line")
        assert self.rcpt(STRANGER)[0] in "45"
        assert self.rcpt(STRANGER, "bob@lab.test").startswith("250"), "mail for us is taken"
        self.said("a stranger and a forged line do not")

    def _forgeries(self) -> str:
        return self.machine.shell("pbs-filter --status", status=None)

    def upgrade_package(self) -> None:
        """The package once more, as an upgrade does it, with the filter at work."""
        shutil.copy(self.package, self.machine.path / "root")
        options = "-qq -y -o APT::Sandbox::User=root --reinstall"
        self.type(f"apt-get {options} install /root/{self.package.name}")
        assert self.rcpt(CLIENT).startswith("250"), "it is remembered"
        self.log_in(OTHER_CLIENT)
        wait_for(lambda: self.rcpt(OTHER_CLIENT).startswith("250"), "a login behind the upgrade")
        self.said("earlier logins count, and new ones do")

    def upgrade_debian(self) -> None:
        """From 12 to 13 as Debian's release notes have it, and a reboot."""
        debian = self.machine.debian
        sources = debian.path / "etc/apt/sources.list"
        sources.write_text(sources.read_text().replace("bookworm", "trixie"))
        # Of Dovecot 2.3's configuration 2.4 reads nothing: it is set up anew.
        self.type("apt-get -qq -y purge dovecot-core dovecot-pop3d")
        # The machine has no network but its own: what it needs is fetched from outside.
        for words in (
            ("update",),
            ("--download-only", "full-upgrade"),
            ("--download-only", "install", "dovecot-pop3d"),
        ):
            debian.run("apt-get", "-qq", "-y", "-o", "APT::Sandbox::User=root",
                       "--no-install-recommends", *words)  # fmt: skip
        self.said("fetched Debian 13")
        options = "-qq -y --no-download --no-install-recommends -o Dpkg::Options::=--force-confold"
        self.type(f"apt-get {options} full-upgrade")
        self.type(f"apt-get {options} install dovecot-pop3d")
        self.nothing_was_killed()
        self.machine.reboot()
        self.said("rebooted")
        assert self.machine.shell("cat /etc/debian_version").startswith("13")
        wait_for(lambda: self.rcpt(CLIENT).startswith("250"), "the login of before the upgrade")
        self.log_in(OTHER_CLIENT)
        wait_for(lambda: self.rcpt(OTHER_CLIENT).startswith("250"), "a login on Debian 13")
        self.said("earlier logins count, and new ones do")
        self.set_up_again()
        self.doctor()

    def set_up_again(self) -> None:
        """What README has for the time behind an upgrade of Debian."""
        said = self.type("pbs-filter --setup --apply")
        if "daemons read it" in said:
            self._do_what_it_says(said)

    def expire(self) -> None:
        """A short grace, a login, and its end."""
        local = self.machine.path / "etc/pbs-filter.d/90-local.toml"
        local.write_text(f"grace_seconds = {SHORT_SECONDS}\n")
        self._restart()
        self.log_in(IPV6_CLIENT)
        wait_for(lambda: self.rcpt(IPV6_CLIENT).startswith("250"), "the relay of an IPv6 client")
        wait_for(lambda: self.rcpt(IPV6_CLIENT)[0] in "45", "the end of the grace")
        local.unlink()
        self._restart()
        self.said(
            f"with grace_seconds = {SHORT_SECONDS} {IPV6_CLIENT} logged in, relayed, and no more"
        )

    def _restart(self) -> None:
        unit = "pbs-filter-journal" if self.kind.feed == "journal" else self.kind.feed
        self.machine.run("systemctl", "restart", unit)

    def nothing_was_killed(self) -> None:
        """systemd never had to kill what did not end by itself, 90 s after it was told to."""
        units = "-u rsyslog -u syslog-ng -u pbs-filter-journal"
        said = self.machine.shell(f"journalctl -q {units}", status=None)
        killed = re.findall(r".*(?:stop-sig\w+' timed out|Killing process).*", said)
        assert killed == [], said

    def undo(self) -> None:
        """--setup --undo, also of what was changed since: the MTA is as it was."""
        said = self.type("pbs-filter --setup --undo")
        self._do_what_it_says(said)
        for command in re.findall(r"(?m)(?:restarted|switch it off|remove it): (.*)$", said):
            self.type(command)
        places = "postfix exim4 rsyslog.conf rsyslog.d syslog-ng systemd"
        named = self.machine.shell(f"cd /etc && grep -rs -e pbs {places}", status=None)
        assert named == "", named
        wait_for(lambda: self.rcpt(CLIENT)[0] in "45", "the relay to be closed")
        assert self.rcpt(CLIENT, "bob@lab.test").startswith("250"), "mail for us is taken"
        self.said("nobody relays any more")

    def purge(self) -> None:
        """Nothing of it is left, also where it was switched on and is at work."""
        self.switch_on()
        wait_for(lambda: self.machine.status("pbs-filter", "--status") == 0, "the filter")
        self.type("apt-get -qq -y purge pbs-filter")
        assert self.machine.status("pgrep", "-f", "bin/pbs-filter") != 0, "the filter has ended"
        places = ("etc", "run", "usr", "var/lib", "var/log")
        left = [
            str(path)
            for place in places
            for path in (self.machine.path / place).rglob("*pbs*")
            if "dpkg" not in str(path)
        ]
        assert [] == left
        accounts = self.machine.shell("cat /etc/passwd /etc/group")
        assert "pbs" not in accounts
        wait_for(lambda: self.rcpt(CLIENT)[0] in "45", "the relay to be closed")

    # ------------------------------------------------------------------ clients

    def log_in(self, source: str) -> None:
        """By POP3 with TLS, as bob, and out again."""

        def connect() -> poplib.POP3_SSL | None:
            with contextlib.suppress(OSError):
                return self.machine.network.inside(lambda: _Pop3(source))
            return None

        client = wait_for(connect, "Dovecot")
        client.user(BOB.name)
        client.pass_(BOB.password)
        client.quit()

    def rcpt(self, source: str, recipient: str = REMOTE) -> str:
        """What the MTA says to RCPT for a client at `source`; empty: it is not there."""
        server = IPV6_SERVER if ":" in source else SERVER
        with (
            contextlib.suppress(OSError, smtplib.SMTPException),
            self._smtp(server, source) as smtp,
        ):
            smtp.ehlo("[192.0.2.7]")
            smtp.mail("bob@example.org")
            code, text = smtp.rcpt(recipient)
            return f"{code} {text.decode()}"
        return ""

    def _smtp(self, server: str, source: str) -> smtplib.SMTP:
        return self.machine.network.inside(
            lambda: smtplib.SMTP(server, 25, source_address=(source, 0), timeout=300)
        )


class _Pop3(poplib.POP3_SSL):
    def __init__(self, source: str) -> None:
        self._source = source
        self._server = IPV6_SERVER if ":" in source else SERVER
        # The certificate is the one that Debian makes for a new machine.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(self._server, 995, timeout=300, context=context)

    def _create_socket(self, timeout: float) -> socket.socket:
        plain = socket.create_connection((self._server, self.port), timeout, (self._source, 0))
        return self.context.wrap_socket(plain, server_hostname=self._server)


def travel(kind: Kind, package: Path, directory: Path, tell: Callable[[str], None]) -> None:
    """The whole journey; that of a Debian 12 has the upgrade to 13 on its way."""
    with Journey(kind, package, directory, tell) as journey:
        journey.install()
        journey.switch_on()
        journey.doctor()
        journey.log_in_and_relay()
        journey.upgrade_package()
        if kind.suite == "bookworm":
            journey.machine.run("pbs-filter", "--forget", OTHER_CLIENT)
            journey.upgrade_debian()
        journey.expire()
        journey.doctor()
        journey.undo()
        journey.purge()
        journey.nothing_was_killed()
