"""Central logging: the files of rsyslog/ and syslog-ng/ for POP hosts and for the central host.

Each host is a network namespace with a cable to the central one. Each daemon sees the names of
`examples/central/README.md` in its /etc/hosts, and has a certificate made with its commands.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from ..store.store_tools import memory_directory
from . import certificates
from .certificates import TLS
from .daemons.process import Process, wait_for
from .daemons.rsyslog import Rsyslog
from .daemons.syslog_ng import SyslogNg
from .mtas.namespace import Namespace
from .packages import install
from .shipped import (
    CANARY,
    Installed,
    LogSocket,
    address,
    addresses,
    forged,
    from_mx1,
    login,
    send_as_nobody,
    shipped,
    speaker,
)

CENTRAL = "192.0.2.9"
POP = {"pop1": "192.0.2.10", "pop2": "192.0.2.11"}
ADDRESSES = {**POP, "stranger": "192.0.2.13"}
HOSTS = "\n".join(
    f"{where} {name}.example.org" for name, where in {"loghost": CENTRAL, **POP}.items()
)
GRACE = 1800
LOGINS = 1000
"""From each POP host."""
A_SECOND = 500
STOPPED_SECONDS = 2
ON_THE_WAY = 900
"""Less than was sent while the central daemon was away: that must come from the queues."""
PORT = 6514


class Site:
    """The network, the names and the certificates of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tls = certificates.make(directory / "tls")
        self.installed = Installed(
            directory / "installed",
            f"trusted_hosts = {[*POP.values()]}\nrequire_vouched = true\nmax_session_seconds = 0\n",
        )
        self.hosts = {"loghost": Namespace([])}
        for name, where in ADDRESSES.items():
            self.hosts[name] = Namespace([])
            self.hosts["loghost"].join(CENTRAL, self.hosts[name], where)
        self._names = directory / "hosts"
        self._names.write_text(f"127.0.0.1 localhost\n{HOSTS}\n")

    def on(self, host: str) -> list[str]:
        """What to write before a command that is to run on `host`."""
        see_names = 'mount --bind "$0" /etc/hosts && exec "$@"'
        unshare = ("unshare", "--mount", "sh", "-c", see_names, str(self._names))
        return [*self.hosts[host].command(), *unshare]

    def certificate(self, host: str) -> dict[str, str]:
        """What to replace in a shipped file on `host`."""
        return {TLS: str(self.tls / host)}


class PopHost:
    """A POP host; both call themselves mx1. `log` writes as its POP server does."""

    def __init__(self, name: str, process: Process, socket: Path) -> None:
        self.name = name
        self.process = process
        self.socket = socket
        process.start()
        self.log = LogSocket(socket)

    def everything(self) -> bytes:
        """What came through its log socket."""
        return (self.process.output.parent / "everything.log").read_bytes()

    def restart(self) -> None:
        """Restart its daemon in order."""
        self.process.stop()
        self.socket.unlink(missing_ok=True)
        self.process.start()

    def close(self) -> None:
        self.log.close()
        self.process.stop()
        shutil.rmtree(self.socket.parent)


def with_rsyslog(site: Site, name: str, sender: str, certificate: str = "") -> PopHost:
    install("rsyslog", "rsyslog-relp", "rsyslog-gnutls")
    directory = site.directory / name
    directory.mkdir()
    socket = _public_socket()
    config = directory / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{directory}" localHostname="mx1" processInternalMessages="on")\n'
        + shipped(
            "rsyslog/imuxsock.conf",
            {'load="imuxsock" ': f'load="imuxsock" SysSock.Name="{socket}" '},
        )
        + shipped("rsyslog/client.conf", {})
        + shipped(f"rsyslog/client-{sender}.conf", site.certificate(certificate or name))
        + f'action(type="omfile" file="{directory}/everything.log")\n'
    )
    command = ["/usr/sbin/rsyslogd", "-n", "-f", str(config), "-i", f"{directory}/pid"]
    process = Process(
        name,
        [*site.on(name), *command],
        output=directory / "out",
        ready=socket.exists,
    )
    return PopHost(name, process, socket)


def with_syslog_ng(site: Site, name: str) -> PopHost:
    socket = _public_socket()
    queue = site.directory / name / "queue"
    queue.mkdir(parents=True)
    daemon = SyslogNg(
        site.directory / name,
        "options { stats-level(1); use-dns(no); };\n"
        f'source s_src {{ unix-dgram("{socket}" host-override("mx1")); internal(); }};\n'
        + shipped("syslog-ng/pbs-filter/plugin.conf", {})
        + shipped(
            "syslog-ng/client.conf", {**site.certificate(name), "/var/lib/syslog-ng": str(queue)}
        ),
        within=site.on(name),
    )
    return PopHost(name, daemon.process, socket)


def _public_socket() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="pbs-"))
    directory.chmod(0o755)
    return directory / "log"


def central_rsyslog(site: Site) -> Rsyslog:
    return Rsyslog.with_filter(
        site.directory / "central",
        site.installed,
        settings=_central_settings(),
        behind=shipped("rsyslog/central.conf", site.certificate("loghost")),
        within=site.on("loghost"),
    )


def _central_settings() -> dict[str, str]:
    """What the README has an administrator change in pbs-filter.conf on the central host."""
    printed = certificates.commands("examples/central/README.md", "2. The central host")
    found = dict(re.findall(r"-e 's/([^/]+)/([^/]+)/'", printed))
    assert 4 == len(found)
    return found


def central_syslog_ng(site: Site) -> SyslogNg:
    return SyslogNg.with_filter(
        site.directory / "central",
        site.installed,
        behind=shipped("syslog-ng/central.conf", site.certificate("loghost")),
        within=site.on("loghost"),
    )


@pytest.fixture
def site() -> Iterator[Site]:
    # In memory, because each login waits for the disk.
    with memory_directory() as directory:
        made = Site(directory)
        yield made
        for host in made.hosts.values():
            host.close()


def send_logins(host: PopHost, first: int) -> dict[str, int]:
    """`LOGINS` of them, `A_SECOND`; when each was sent, by address."""
    sent = {}
    began = time.monotonic()
    for number in range(LOGINS):
        sent[address(first + number)] = int(time.time())
        host.log.send(login(first + number))
        ahead = began + number / A_SECOND - time.monotonic()
        if ahead > 0.01:
            time.sleep(ahead)  # the load is so many a second
    return sent


def load_with_a_stop(hosts: Sequence[PopHost], central: Rsyslog | SyslogNg) -> dict[str, int]:
    """Logins on all hosts at once, while the central daemon is stopped for some seconds."""
    sent: dict[str, int] = {}

    def run(host: PopHost, first: int) -> None:
        sent.update(send_logins(host, first))

    threads = [
        threading.Thread(target=run, args=(host, index * 100_000))
        for index, host in enumerate(hosts)
    ]
    for thread in threads:
        thread.start()
    time.sleep(LOGINS / A_SECOND / 4)
    central.stop()
    time.sleep(STOPPED_SECONDS)
    central.start()
    for thread in threads:
        thread.join()
    return sent


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(running: ExitStack, central: Rsyslog | SyslogNg, *hosts: PopHost) -> None:
    running.enter_context(central)
    for host in hosts:
        running.callback(host.close)


# ------------------------------------------------------------------ nothing is lost


def test_by_relp_no_login_is_lost_while_the_central_host_is_away_and_late_ones_get_the_rest(
    site: Site, running: ExitStack
) -> None:
    central = central_rsyslog(site)
    hosts = [with_rsyslog(site, name, "relp") for name in POP]
    started(running, central, *hosts)
    sent = load_with_a_stop(hosts, central)
    site.installed.wait_for_count(len(sent))
    entries = site.installed.entries()
    assert set(sent) == set(entries)
    for client, entry in entries.items():
        assert 0 <= entry.last - sent[client] <= 1, "the POP host's stamp"
        assert entry.last + GRACE == entry.until, "what is left of the grace, no more"
    latest = max(entry.renewed - entry.last for entry in entries.values())
    print(f"{len(sent)} logins, the latest {latest} s late")
    assert latest >= STOPPED_SECONDS - 1, "nothing was late; the test shows nothing"


@pytest.mark.parametrize("protocol", ["relp", "tcp"])
def test_a_pop_host_restarted_while_the_central_one_is_away_loses_one_line_at_most(
    protocol: str, site: Site, running: ExitStack
) -> None:
    central = central_rsyslog(site)
    host = with_rsyslog(site, "pop1", protocol)
    started(running, central, host)
    for number in range(LOGINS // 2):
        host.log.send(login(number))
    # By TCP what is on the way when the central host stops is lost, too.
    site.installed.wait_for_address(address(LOGINS // 2 - 1), 60)
    central.stop()
    for number in range(LOGINS // 2, LOGINS):
        host.log.send(login(number))
    wait_for(lambda: login(LOGINS - 1) in host.everything(), "the last line")
    restarts = 2
    for _ in range(restarts):
        host.restart()
    central.start()
    host.log.send(login(LOGINS))
    site.installed.wait_for_address(address(LOGINS), 60)
    lost = set(addresses(range(LOGINS))) - set(site.installed.entries())
    print(f"{len(lost)} of {LOGINS} lost")
    assert len(lost) <= restarts


@pytest.mark.parametrize(
    ("hosts", "central"),
    [
        ("syslog-ng", "syslog-ng"),
        ("rsyslog", "syslog-ng"),
        ("syslog-ng", "rsyslog"),
    ],
)
def test_by_tcp_what_waits_is_kept_and_only_what_is_on_the_way_may_be_lost(
    hosts: str, central: str, site: Site, running: ExitStack
) -> None:
    there = (central_rsyslog if central == "rsyslog" else central_syslog_ng)(site)
    clients = [
        with_syslog_ng(site, name) if hosts == "syslog-ng" else with_rsyslog(site, name, "tcp")
        for name in POP
    ]
    started(running, there, *clients)
    sent = load_with_a_stop(clients, there)
    for number, client in enumerate(clients):
        client.log.send(login(500_000 + number))
        site.installed.wait_for_address(address(500_000 + number))
    entries = site.installed.entries()
    lost = set(sent) - set(entries)
    print(f"{len(lost)} of {len(sent)} lost")
    assert len(lost) <= ON_THE_WAY


# ------------------------------------------------------------------ who is believed

FORGED = f"imap-login: Login: user=<eve>, method=PLAIN, rip={CANARY}, TLS".encode()


def test_by_relp_only_a_trusted_host_with_a_certificate_of_ours_is_believed(
    site: Site, running: ExitStack
) -> None:
    central = central_rsyslog(site)
    unknown_name = with_rsyslog(site, "pop1", "relp", "pop3")
    unknown_authority = with_rsyslog(site, "pop2", "relp", "other/pop2")
    stranger = with_rsyslog(site, "stranger", "relp", "pop1")
    started(running, central, unknown_name, unknown_authority, stranger)
    stranger.log.send(FORGED)
    wait_for(lambda: _refused(site) == 1, "the line of an address that is not in trusted_hosts")
    for host in unknown_name, unknown_authority:
        host.log.send(FORGED)
        peer = f"conn to clt {ADDRESSES[host.name]}/"
        wait_for(partial(_said, central, "TLS handshake failed", peer), f"no handshake with {peer}")
    assert {} == site.installed.entries()
    assert 1 == site.installed.lines()


@pytest.mark.parametrize("central", ["rsyslog", "syslog-ng"])
def test_by_tcp_only_a_trusted_host_with_a_certificate_of_ours_is_believed(
    central: str, site: Site, running: ExitStack
) -> None:
    started(running, central_rsyslog(site) if central == "rsyslog" else central_syslog_ng(site))

    def speak(host: str, certificate: str, line: bytes) -> None:
        say = speaker(site.hosts[host], CENTRAL, PORT, site.tls / certificate)
        say(ADDRESSES[host], f"{len(line)} {line.decode()}")

    for host, certificate in ("pop1", "pop3"), ("pop2", "other/pop2"):
        with suppress(OSError):  # an alert, a reset, or just the end
            speak(host, certificate, from_mx1(0, FORGED.decode()).encode())
    # Every way to write another sender into a line.
    for line in (*forged(), *_with_another_sender()):
        speak("stranger", "pop1", line)
    speak("pop2", "pop2", from_mx1(0, login(1).decode()).encode())
    site.installed.wait_for_address(address(1))
    assert {address(1)} == set(site.installed.entries())
    assert _refused(site) >= 5, "the stranger's lines came through, and were refused"
    assert {"dovecot": 1} == site.installed.status()["logins"]


def _said(central: Rsyslog, *texts: str) -> bool:
    return any(all(text in line for text in texts) for line in central.process.said().splitlines())


def _refused(site: Site) -> int:
    untrusted = site.installed.status()["reasons"].get("untrusted_host", {"count": 0})
    return int(untrusted["count"])


def _with_another_sender() -> list[bytes]:
    stamp, iso = time.strftime("%b %e %H:%M:%S"), time.strftime("%Y-%m-%dT%H:%M:%S%z")
    trusted, text = POP["pop1"], FORGED.decode()
    as_json = f'"from":"{trusted}","h":"mx1","p":"dovecot","msg":"{text}"'
    return [
        line.encode()
        for line in (
            f"<22>{stamp} {trusted} dovecot: {text}",
            f"<22>1 {iso} {trusted} dovecot 1 - - {text}",
            f"<22>{stamp} mx1 dovecot: {{{as_json}}}",
            f'<22>{stamp} mx1 dovecot: ",{as_json},"x":"',
            f"{{{as_json}}}",
        )
    ]


@pytest.mark.parametrize("kind", ["rsyslog", "syslog-ng"])
def test_sessions_of_two_hosts_do_not_mix_and_local_users_of_a_pop_host_get_nobody_in(
    kind: str, site: Site, running: ExitStack
) -> None:
    central = central_rsyslog(site) if kind == "rsyslog" else central_syslog_ng(site)
    hosts = [
        with_rsyslog(site, name, "relp") if kind == "rsyslog" else with_syslog_ng(site, name)
        for name in POP
    ]
    started(running, central, *hosts)
    one, two = (host.log for host in hosts)
    for host in hosts:
        send_as_nobody(host.socket, forged())
    # Both call themselves mx1.
    one.send(b"Session from 192.0.2.21", tag="popa3d[4711]")
    wait_for(lambda: site.installed.status()["half_sessions"] == 1, "the first connection")
    two.send(b"Authentication passed for bob", tag="popa3d[4711]")
    two.send(b"Session from 192.0.2.22", tag="popa3d[4711]")
    wait_for(lambda: site.installed.status()["half_sessions"] == 2, "the second one")
    assert {} == site.installed.entries()
    one.send(b"Authentication passed for bob", tag="popa3d[4711]")
    site.installed.wait_for_address("192.0.2.21")
    assert {"192.0.2.21"} == set(site.installed.entries())
    two.send(b"Authentication passed for alice", tag="popa3d[4711]")
    site.installed.wait_for_address("192.0.2.22")
    assert 5 == site.installed.lines(), "what a local user wrote has not left its host"
