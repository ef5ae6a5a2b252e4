"""--setup and --doctor on a machine with the real daemons: set up, used, looked at, taken back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_filter.integrations import dovecot
from pbs_filter.integrations.machine import Machine as Found
from pbs_filter.monitor.warnings import UNREAD_LINES

from .daemons.process import wait_for
from .machines import PROGRAM, Machine
from .mtas import SERVER, STRANGER
from .mtas.exim import _DEBCONF
from .roots import PrivateRoot

PLACES = ("etc", "opt", "usr/libexec", "var/lib")
LOGIN = f"imap-login: Login: user=<bob>, method=PLAIN, rip={STRANGER}, lip={SERVER}, mpid=7, TLS"

Tree = dict[str, tuple[object, ...]]


def tree(machine: Machine) -> Tree:
    """Everything that --setup could change, but for the copies that useradd keeps for itself, and
    what the running filter wrote into its own directory."""
    its_own = re.compile(r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|/var/lib/pbs-filter/|"
                         r"\.lock$|/var/lib/(postfix|exim4|syslog-ng|rsyslog)/")  # fmt: skip
    found = machine.tree(*PLACES)
    return {path: described for path, described in found.items() if not its_own.search(path)}


def findings(machine: Machine, *before: str) -> dict[str, tuple[str, str]]:
    """State and text of what --doctor says, by subject."""
    said = machine.run(*before, PROGRAM, "--doctor", "--json", status=None)
    return {f["subject"]: (f["state"], f["text"]) for f in json.loads(said)["findings"]}


def wrong(machine: Machine, *before: str) -> dict[str, str]:
    """What it says is wrong."""
    return {subject: text for subject, (state, text) in findings(machine, *before).items()
            if state == "wrong"}  # fmt: skip


# ---------------------------------------------------------------------- rsyslog and Postfix

MAIN = """\
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mx1.lab.test
mydestination = lab.test
mynetworks = 127.0.0.0/8 [::1]/128
inet_interfaces = all
local_recipient_maps =
alias_maps =
alias_database =
local_transport = discard:
smtpd_peername_lookup = no
"""


class RsyslogPostfix(Machine):
    packages = ("rsyslog", "postfix", "dash", "coreutils", "sed", "grep", "findutils", "diffutils")
    accounts = (("postfix", 61201), ("postdrop", 61202))

    def configure(self) -> None:
        root = self.root
        shipped = (root.path / "etc/rsyslog.conf").read_text()
        # The kernel's log is that of the machine on which this runs.
        root.write("/etc/rsyslog.conf", shipped.replace('module(load="imklog")', "#"))
        root.directory("/etc/logrotate.d")
        source = root.path / "usr/share/postfix"
        for name, shipped in (("master.cf", "master.cf.dist"), ("dynamicmaps.cf",) * 2):
            root.write(f"/etc/postfix/{name}", (source / shipped).read_text())
        root.write("/etc/postfix/main.cf", (source / "main.cf.debian").read_text() + MAIN)
        with (root.path / "etc/postfix/main.cf").open("ab") as main:
            main.write(b"# not UTF-8: caf\xe9\n")
        root.directory("/var/lib/postfix", owner=61201)
        root.directory("/var/spool/rsyslog")

    def start(self) -> None:
        self.daemon("/usr/sbin/rsyslogd", "-n", name="rsyslogd")
        self.daemon("/usr/sbin/postfix", "start-fg", name="postfix")
        wait_for((self.root.path / "dev/log").exists, "the log socket")
        # master makes the sockets in the order of master.cf: ours is the last.
        wait_for((self.root.path / "var/spool/postfix/private/pbs").exists, "Postfix's sockets")

    @contextlib.contextmanager
    def other_settings(self, setting: str, *, reload: bool = False) -> Iterator[None]:
        """With a main.cf that has `setting`."""
        path = self.root.path / "etc/postfix/main.cf"
        kept = path.read_bytes()
        self.run("/usr/sbin/postconf", "-e", setting)
        if reload:
            self.run("/usr/sbin/postfix", "reload")
        try:
            yield
        finally:
            path.write_bytes(kept)
            if reload:
                self.run("/usr/sbin/postfix", "reload")


class TestRsyslogAndPostfix:
    """In the order of an administrator's afternoon."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RsyslogPostfix]:
        with RsyslogPostfix(tmp_path_factory.mktemp("setup")) as machine:
            yield machine

    @pytest.fixture(scope="class")
    @classmethod
    def before(cls, machine: RsyslogPostfix) -> Tree:
        return tree(machine)

    @pytest.fixture(scope="class")
    @classmethod
    def applied(cls, machine: RsyslogPostfix, before: Tree) -> RsyslogPostfix:
        """The machine after --apply, with its daemons running."""
        assert before
        machine.filter("--setup", "--apply")
        machine.start()
        return machine

    def test_without_apply_nothing_is_changed(self, machine: RsyslogPostfix, before: Tree) -> None:
        said = machine.filter("--setup")
        assert "rsyslog 8.2302" in said
        assert "postfix 3.7" in said
        assert "--setup rsyslog postfix --apply" in said
        assert "# not UTF-8: caf\udce9" in said
        assert before == tree(machine)

    def test_before_it_is_set_up_the_doctor_says_so(self, machine: RsyslogPostfix) -> None:
        found = wrong(machine)
        assert {"daemon", "feed", "MTA"} == set(found)
        assert "has no /etc/rsyslog.d/10-pbs-filter.conf" in found["daemon"]
        assert "nobody takes lines at /dev/log" in found["feed"]

    def test_what_a_daemon_does_not_accept_is_taken_back(
        self, machine: RsyslogPostfix, before: Tree
    ) -> None:
        conf = machine.root.path / "etc/rsyslog.d/20-broken.conf"
        conf.write_text('action(type="no such thing")\n')
        said = machine.filter("--setup", "--apply", status=78)
        conf.unlink()
        assert "`rsyslogd -N1` ended with 1" in said
        assert "taken back what it did: everything is as it was before" in said
        assert before == tree(machine)

    def test_a_login_opens_the_relay_and_the_doctor_is_content(
        self, applied: RsyslogPostfix
    ) -> None:
        well = applied.filter("--doctor")
        assert "all is well" in well
        assert (
            f"closed for a stranger at port 25: from {SERVER} to elsewhere the MTA said 454" in well
        )
        assert applied.rcpt(STRANGER).startswith("454 4.7.1")
        applied.log(LOGIN)
        wait_for(lambda: applied.rcpt(STRANGER).startswith("250"), "the relay to be open")
        assert applied.rcpt(SERVER).startswith("454 4.7.1")
        assert "all is well" in applied.filter("--doctor")

    def test_a_second_time_only_the_servers_of_the_mail_log_are_new(
        self, applied: RsyslogPostfix
    ) -> None:
        said = applied.filter("--setup", "--apply")
        assert '+servers = ["dovecot"]' in said
        assert "wrote: /etc/pbs-filter.d/50-setup.toml" in said
        assert 1 == said.count("wrote: ")
        assert "Every file is as it should be." in applied.filter("--setup")
        assert 'servers = ["dovecot"]  # /etc/pbs-filter.d/50-setup.toml' in applied.filter(
            "--dumpconfig"
        )

    def test_a_filter_that_runs_with_the_old_servers_is_told(self, applied: RsyslogPostfix) -> None:
        found = wrong(applied)
        assert {"configuration"} == set(found)
        assert "servers (in use after a restart of rsyslog" in found["configuration"]
        os.kill(json.loads(applied.filter("--status", "--json"))["pid"], signal.SIGKILL)
        wait_for(lambda: wrong(applied) == {}, "rsyslog to start a filter with the new ones")

    def test_the_mail_log_shows_which_servers_there_are(self, applied: RsyslogPostfix) -> None:
        assert re.search(r"/var/log/mail.log, .* logins: dovecot 1", applied.filter("--setup"))

    def test_another_account_than_root_is_told_what_it_cannot_see(
        self, applied: RsyslogPostfix
    ) -> None:
        found = findings(applied, "chroot", "--userspec=65534:65534", "/")
        assert "note" == found["feed"][0]
        assert "only root" in found["feed"][1]
        assert "note" == found["rights"][0]

    def test_a_map_that_the_lookups_cannot_read(self, applied: RsyslogPostfix) -> None:
        directory = applied.root.path / "var/lib/pbs-filter"
        directory.chmod(0o700)
        found = wrong(applied)
        directory.chmod(0o750)
        assert {"lookup", "MTA"} == set(found)
        assert "pbs-lookup cannot read the map" in found["lookup"]
        assert "Permission denied" in found["MTA"]

    def test_a_directory_that_others_can_write(self, applied: RsyslogPostfix) -> None:
        directory = applied.root.path / "var/lib/pbs-filter"
        directory.chmod(0o777)
        found = wrong(applied)
        directory.chmod(0o750)
        assert "mode 0777" in found["files"]

    def test_a_postfix_that_does_not_ask(self, applied: RsyslogPostfix) -> None:
        with applied.other_settings(MAIN.splitlines()[0]):
            found = wrong(applied)
        assert {"MTA"} == set(found)
        assert "postfix does not ask" in found["MTA"]

    def test_an_open_relay(self, applied: RsyslogPostfix) -> None:
        with applied.other_settings("mynetworks = 0.0.0.0/0"):
            found = wrong(applied)
        assert {"relay"} == set(found)
        assert "OPEN: mynetworks has 0.0.0.0/0" in found["relay"]

    def test_a_relay_that_is_open_by_something_else_is_found_by_trying(
        self, applied: RsyslogPostfix
    ) -> None:
        open_there = f"OPEN: at port 25 the MTA takes mail from {SERVER} to elsewhere: 250"
        with applied.other_settings("relay_domains = example.com", reload=True):
            wait_for(lambda: open_there in wrong(applied).get("relay", ""), "the new setting")

    def test_each_port_that_listens_is_asked(self, applied: RsyslogPostfix) -> None:
        path = applied.root.path / "etc/postfix/master.cf"
        kept = path.read_text()
        own = "587 inet n - n - - smtpd -o smtpd_relay_restrictions={}\n"
        try:
            path.write_text(kept + own.format("permit_sasl_authenticated,reject"))
            applied.run("/usr/sbin/postfix", "reload")
            said = ""

            def is_tried() -> bool:
                nonlocal said
                said = applied.filter("--doctor", status=None)
                return "at port 587" in said and " wrong\n" not in said

            wait_for(is_tried, "the new port to be tried, with nothing wrong")
            assert f"closed for a stranger at port 587: from {SERVER} to elsewhere" in said
            assert "postfix does not ask at 587: the map lets nobody relay there" in said
            path.write_text(kept + own.format("permit_mynetworks"))
            found = wrong(applied)
            assert "OPEN: smtpd_relay_restrictions of 587 in /etc/postfix/mas" in found["relay"]
        finally:
            path.write_text(kept)
            applied.run("/usr/sbin/postfix", "reload")

    def test_a_known_program_whose_lines_no_rule_reads(self, applied: RsyslogPostfix) -> None:
        for number in range(UNREAD_LINES):
            applied.log(f"a wording of a version to come, {number}")
        wait_for(lambda: "warning: unread" in wrong(applied), "the warning")
        assert "dovecot writes lines that no rule reads" in wrong(applied)["warning: unread"]

    def test_a_configuration_that_cannot_be_read(self, applied: RsyslogPostfix) -> None:
        path = applied.root.path / "etc/pbs-filter.d/50-setup.toml"
        kept = path.read_text()
        path.write_text(kept + "grase_seconds = 7\n")
        found = wrong(applied)
        path.write_text(kept)
        assert {"configuration"} == set(found)
        assert "Did you mean 'grace_seconds'?" in found["configuration"]

    def test_a_syslog_daemon_that_does_not_run(self, applied: RsyslogPostfix) -> None:
        applied.stop()
        found = wrong(applied)
        # Also "daemon", unless another one runs on the machine that the tests run on.
        assert {"feed", "MTA"} == set(found) - {"daemon"}
        assert "nobody takes lines at /dev/log" in found["feed"]
        assert "nobody answers" in found["MTA"]

    def test_our_words_changed_by_hand_keep_undo_from_everything(
        self, applied: RsyslogPostfix
    ) -> None:
        path = applied.root.path / "etc/postfix/main.cf"
        kept, then = path.read_bytes(), tree(applied)
        path.write_bytes(kept.replace(b"pbs_time_limit = 3600", b"pbs_time_limit = 60"))
        said = applied.filter("--setup", "--undo", status=78)
        path.write_bytes(kept)
        assert "/etc/postfix/main.cf: take out" in said
        assert "check_client_access socketmap:unix:private/pbs:pbs" in said
        assert then == tree(applied)

    def test_undo_puts_everything_back(self, applied: RsyslogPostfix, before: Tree) -> None:
        log = applied.root.path / "var/lib/pbs-filter"
        said = applied.filter("--setup", "--undo")
        assert "put back: /etc/postfix/main.cf" in said
        assert "left: /var/lib/pbs-filter is not empty" in said
        after = tree(applied)
        assert log.exists()
        after.pop(str(log))
        assert before == after
        assert "Nothing to undo: " in applied.filter("--setup", "--undo")

    def test_undo_leaves_what_somebody_else_changed_meanwhile(
        self, applied: RsyslogPostfix, before: Tree
    ) -> None:
        """As postconf does it, which also an upgrade of Postfix runs."""
        path = applied.root.path / "etc/postfix/main.cf"
        settings = ("mydestination = other.test", "smtpd_tls_security_level = may")
        kept = path.read_bytes()
        applied.run("/usr/sbin/postconf", "-e", *settings)
        wanted = path.read_bytes()
        path.write_bytes(kept)
        applied.filter("--setup", "--apply")
        applied.run("/usr/sbin/postconf", "-e", *settings)
        said = applied.filter("--setup", "--undo")
        assert wanted == path.read_bytes()
        assert "/etc/postfix/main.cf was changed since: only our lines were taken out" in said
        assert "check_client_access socketmap:unix:private/pbs:pbs," in said
        path.write_bytes(kept)
        assert set(before) == set(tree(applied)) - {str(applied.root.path / "var/lib/pbs-filter")}


# ---------------------------------------------------------------------- syslog-ng and Exim


class SyslogNgExim(Machine):
    packages = (
        "syslog-ng-core", "syslog-ng-scl", "exim4-daemon-heavy", "exim4-config",
        "debianutils", "gawk", "util-linux", "hostname", "dash", "coreutils", "sed", "grep",
    )  # fmt: skip
    accounts = (("Debian-exim", 61211), ("uucp", 10))

    def configure(self) -> None:
        root = self.root
        shipped = (root.path / "etc/syslog-ng/syslog-ng.conf").read_text()
        # Not system(): the kernel's log is that of the machine on which this runs.
        root.write("/etc/syslog-ng/syslog-ng.conf", shipped.replace(
            "system();", 'unix-dgram("/dev/log");').replace(
            "getvirtconsole()", 'file("/dev/null")'))  # fmt: skip
        root.directory("/etc/syslog-ng/conf.d")
        root.directory("/var/lib/syslog-ng")
        root.write("/etc/mailname", "lab.test\n")
        root.write("/etc/hostname", "mx1\n")
        root.write("/etc/aliases", "")
        root.write("/etc/exim4/update-exim4.conf.conf", _DEBCONF.format(split="true"))
        for directory in ("/var/lib/exim4", "/var/log/exim4", "/var/spool/exim4"):
            root.directory(directory, owner=61211)

    def start(self) -> None:
        self.daemon("/usr/sbin/syslog-ng", "-F", "--no-caps", name="syslog-ng")
        self.run("/usr/sbin/update-exim4.conf")
        self.daemon("/usr/sbin/exim4", "-bdf", "-oP", "/run/exim.pid", name="exim")
        wait_for((self.root.path / "dev/log").exists, "the log socket")


def test_syslog_ng_and_exim_are_set_up_used_and_as_before(tmp_path: Path) -> None:
    with SyslogNgExim(tmp_path) as machine:
        before = tree(machine)
        said = machine.filter("--setup", "--apply")
        assert "checked: syslog-ng -s" in said
        assert "checked: update-exim4.conf --check" in said
        # What it leaves to a person where no systemd runs.
        (line,) = re.findall(r"before the MTA: (.*)", said)
        make, serve = line.split("; ")
        machine.run(*make.split())
        machine.daemon(*serve.split(), name="pbs-lookup")
        machine.start()
        said = machine.filter("--doctor", status=None)
        assert "all is well" in said, said
        # rsyslog goes by its own clock for local lines; syslog-ng reads the stamps in them.
        (elsewhere,) = wrong(machine, "env", "TZ=XXX5").items()
        assert "clock" == elsewhere[0]
        assert "another time zone: by 300 minutes too old" in elsewhere[1]
        assert machine.rcpt(STRANGER).startswith("550 relay not permitted")
        machine.log(LOGIN)
        wait_for(lambda: machine.rcpt(STRANGER).startswith("250"), "the relay to be open")
        assert machine.rcpt(SERVER).startswith("550")
        machine.stop()
        machine.filter("--setup", "--undo")
        after = tree(machine)
        after.pop(str(machine.root.path / "var/lib/pbs-filter"))
        assert before == after


# ---------------------------------------------------------------------- other MTAs, not running


class SendmailAlone(Machine):
    packages = (
        "sendmail-bin", "sendmail-cf", "sendmail-base", "m4", "dash", "coreutils", "sed", "grep",
    )  # fmt: skip
    accounts = (("smmta", 61221), ("smmsp", 61222))
    check = "sendmail -bt"
    wrote = "/etc/mail/sendmail.mc"
    broken = "LOCAL_CONFIG\nno such line\n"

    def configure(self) -> None:
        shipped = (self.root.path / "usr/share/sendmail/cf/debian/sendmail.mc").read_text()
        self.root.write("/etc/mail/sendmail.mc", shipped)
        for name in ("m4/dialup.m4", "m4/provider.m4", "local-host-names", "trusted-users"):
            self.root.write(f"/etc/mail/{name}", "")


class CourierAlone(Machine):
    packages = ("courier-mta", "dash", "coreutils", "sed", "grep")
    accounts = (("courier", 61121),)
    check = "sh -n /etc/courier/esmtpd"
    wrote = "/etc/courier/esmtpd"
    broken = "if\n"

    def configure(self) -> None:
        # Of its own, not shared with the unpacked package.
        shipped = (self.root.path / "etc/courier/esmtpd").read_text()
        self.root.write("/etc/courier/esmtpd", shipped)


def stays_only_if_its_check_is_content(machine: SendmailAlone | CourierAlone) -> None:
    before = tree(machine)
    said = machine.filter("--setup", "--apply")
    assert machine.check in said
    assert before != tree(machine)
    assert f"put back: {machine.wrote}" in machine.filter("--setup", "--undo")
    assert before == tree(machine)
    path = machine.root.path / machine.wrote.lstrip("/")
    kept = path.read_text()
    path.write_text(kept + machine.broken)
    before = tree(machine)
    said = machine.filter("--setup", "--apply", status=78)
    assert machine.check in said
    assert "everything is as it was before" in said
    assert before == tree(machine)
    path.write_text(kept)


def test_courier(tmp_path: Path) -> None:
    with CourierAlone(tmp_path) as machine:
        stays_only_if_its_check_is_content(machine)


def test_sendmail_and_one_that_asks_nobody_and_relays_for_everybody(tmp_path: Path) -> None:
    with SendmailAlone(tmp_path) as machine:
        stays_only_if_its_check_is_content(machine)
        machine.filter("--setup", "--apply")
        make = (
            "m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf; "
            "/usr/libexec/sendmail/makemap hash /etc/mail/access </dev/null"
        )
        machine.run("sh", "-c", make)
        found = findings(machine)
        assert "wrong" == found["MTA"][0]
        assert "asks at /run/pbs-lookup/socketmap, where nobody answers" in found["MTA"][1]
        assert "ok" == found["relay"][0]
        assert "Relaying denied" in found["relay"][1]
        machine.root.write("/etc/mail/relay-domains", "192.0.2\n")
        assert "OPEN: sendmail lets 192.0.2.254 relay: RELAY" in wrong(machine)["relay"]


# ---------------------------------------------------------------------- Dovecot


@pytest.mark.parametrize(
    ("file", "suite", "config"),
    [
        ("events-2.3.conf", "", "# 2.3\n"),
        (
            "events-2.4.conf",
            "trixie",
            "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\n",
        ),
    ],
)
def test_a_real_dovecot_answers_what_setup_asks_it(file: str, suite: str, config: str) -> None:
    root = PrivateRoot("dovecot-imapd", "dovecot-pop3d", suite=suite)
    with contextlib.closing(root):
        root.write("/etc/dovecot/dovecot.conf", config + "instance_name = dovecot-b\n")
        known = Found(
            program=PROGRAM,
            lookup="",
            share="/usr/share/pbs-filter",
            map="",
            state="",
            versions={},
            answers={" ".join(argv): root.run(*argv).strip() for argv in dovecot.COMMANDS},
        )
    offer, names = dovecot.notes(known, "90-local.toml")
    assert f"/usr/share/pbs-filter/examples/dovecot/{file} " in offer
    assert """programs = { dovecot = ["dovecot-b"], dovecot-events = ["dovecot-b"] }""" in names
