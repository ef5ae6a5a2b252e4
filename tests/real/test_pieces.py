"""Long names against real servers: the pieces that loggers make of them authorise nobody.

The same lines are handed on by rsyslog, by journald and by syslog-ng.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pbs_filter.authorisation.pieces import SECONDS
from pbs_filter.grammar.attacks import CANARY, forged_lines
from pbs_filter.servers import SERVERS as KNOWN

from .clients import Client
from .daemons.courier import Courier, Courier14, CourierTls, CourierTls14
from .daemons.journald import Journald
from .daemons.mailutils import Mailutils
from .daemons.process import wait_for
from .daemons.server import Server
from .daemons.syslog_ng import SyslogNg
from .packages import CHECKOUT
from .roots import ACCOUNTS
from .test_servers import SERVERS

SIZES = (100, 300, 505, 1000, 1100, 2100, 4200, 8300, 16_500, 50_000, 130_000)
CUTS = (511, 1024, 2048, 4096, 8192, 16_384, 49_152)
ALICE = ACCOUNTS[0]
COURIERS = b"LOGIN, user=bob, ip=[%s], port=[1]" % CANARY.encode()


def dense(text: bytes, size: int) -> bytes:
    """The text again and again, with a blank between: some piece begins with it."""
    return ((text + b" ") * (size // (len(text) + 1) + 1))[:size]


def padded(text: bytes, size: int) -> bytes:
    """The text behind so many blanks that it ends where a logger cuts."""
    name = bytearray(b" " * size)
    for cut in CUTS:
        if cut + len(text) <= size:
            name[cut - len(text) : cut] = text
    return bytes(name)


def by_user(client: Client, name: bytes) -> None:
    client.send(b"USER " + name + b"\r\nPASS x\r\n")


def by_apop(client: Client, name: bytes) -> None:
    client.send(b"APOP " + name + b" 0123456789abcdef0123456789abcdef\r\n")


def by_sasl(client: Client, name: bytes) -> None:
    client.send(b"AUTH PLAIN " + base64.b64encode(b"\0" + name + b"\0x") + b"\r\n")


def by_literal(client: Client, name: bytes) -> None:
    client.send(b"a LOGIN {%d}\r\n" % len(name))
    client.line()
    client.send(name + b" {1}\r\n")
    client.line()
    client.send(b"x\r\n")


def by_quotes(client: Client, name: bytes) -> None:
    client.send(b'a LOGIN "' + name.replace(b"\\", b"").replace(b'"', b"") + b'" x\r\n')


def by_authenticate(client: Client, name: bytes) -> None:
    secret = base64.b64encode(b"\0" + name + b"\0x")
    client.send(b"a AUTHENTICATE PLAIN\r\n")
    client.line()
    client.send(secret + b"\r\n")


def by_id(client: Client, name: bytes) -> None:
    client.send(b'a ID ("name" {%d}\r\n' % len(name))
    client.line()
    client.send(name + b")\r\n")


Way = Callable[[Client, bytes], None]
WAYS: dict[str, tuple[Way, ...]] = {
    "pop3": (by_user, by_apop, by_sasl),
    "imap": (by_literal, by_quotes, by_authenticate, by_id),
}


def attempt(server: Server, protocol: str, way: Way, name: bytes) -> None:
    """One try, to its answer; a server that hangs up or waits for more is no matter."""
    try:
        with server.client(protocol) as client:
            way(client, name)
            for _ in range(2 if way is by_user else 1):
                client.line()
            client.send(b"QUIT\r\n" if protocol == "pop3" else b"z LOGOUT\r\n")
            client.until_closed()
    except (TimeoutError, OSError):
        return


def attack(server: Server, names: list[bytes], ways: dict[str, tuple[Way, ...]] = WAYS) -> None:
    """Try each name in each way."""
    with ThreadPoolExecutor(server.at_once) as pool:
        for protocol in server.protocols:
            for way in ways[protocol]:
                for name in names:
                    pool.submit(attempt, server, protocol, way, name)


def what_counts(directory: Path, lines: list[bytes], settings: str = "") -> set[str]:
    """The addresses that a filter with these settings authorises by these lines."""
    config = directory / "counts.toml"
    for old in directory.glob("counts.map*"):
        old.unlink()
    config.write_text(f'map = "{directory}/counts.map"\nlocal_networks = []\n{settings}')
    command = [sys.executable, "-m", "pbs_filter", f"--config={config}"]
    for mode, data in (("--confirm=no", b"".join(line + b"\n" for line in lines)), ("--list", b"")):
        done = subprocess.run(
            [*command, mode, *(["--json"] if mode == "--list" else [])],
            input=data, capture_output=True, cwd=CHECKOUT, check=True,
        )  # fmt: skip
    return {row["address"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)
def test_no_long_name_gets_anybody_in(kind: type[Server], tmp_path: Path) -> None:
    known = [server for server in KNOWN if server.name == kind.name]
    texts = [text.encode() for text in forged_lines(known)]
    names = [
        (dense if number % 2 else padded)(texts[number % len(texts)], size)
        for number, size in enumerate(SIZES)
    ]
    with kind(tmp_path) as server:
        attack(server, names)
        server.stop()
        for form in ("json", "iso", "bsd"):
            assert CANARY not in what_counts(tmp_path, server.lines(form)), form


# ------------------------------------------------------------------ Courier


def courier_names() -> list[bytes]:
    """Names for LOGIN FAILED whose second or third piece is a login, in many alignments."""
    begin = len(b"INFO: LOGIN FAILED, user=")
    names = []
    for text in (COURIERS, COURIERS + b", protocol=IMAP", COURIERS + b", stls=1"):
        first = b"A" * (511 - begin)
        names += [
            first + b" " * (511 - len(text)) + text + b"zz",
            first + text + b" " * 511,
            first + text,
            first + b" " * 511 + text[-1:],
            b" " * (511 - begin) + b" " * (511 - len(text)) + text + b"zz",
            # Where the name's end meets what Courier writes behind it: the attacker's own address.
            b"A" * (511 - begin) + b"LOGIN, user=bob",
            b"A" * (128 - begin) + b"LOGIN, user=bob",
        ]
    return names


def at_the_same_moment(server: Courier, protocol: str, names: list[bytes]) -> None:
    """Many clients at once: more is in the logger's pipe than it reads in one go."""
    clients = [server.client(protocol) for _ in names]
    for client, name in zip(clients, names, strict=True):
        client.send(b"USER " + name + b"\r\n")
        client.line()
    for client in clients:
        client.send(b"PASS x\r\n")
    for client in clients:
        client.line()
        client.close()


class Attacked:
    """Courier after the attack: its lines, and from where real users logged in."""

    def __init__(self, courier: Courier) -> None:
        self.before, self.behind = "127.0.0.41", "127.0.0.42"
        self._login(courier, self.before)
        attack(courier, courier_names(), {"pop3": (by_user,), "imap": (by_literal,)})
        rest = b"LOGIN, user=bob"
        names = []
        for number in range(4):
            sizes = (b"A" * 300 + rest * 45, b"B" * (1000 + number), b"C" * (100 + 9 * number))
            names += sizes * 8
        at_the_same_moment(courier, "pop3", names)
        for protocol in courier.protocols:
            for _ in range(8):
                courier.client(protocol).drop()
        time.sleep(SECONDS + 0.25)  # not for a result: what comes within SECONDS is refused
        self._login(courier, self.behind)
        courier.stop()
        self.lines = {form: courier.lines(form) for form in ("json", "iso", "bsd")}
        self.messages = [
            (values["p"].partition(":")[0].partition("[")[0], values["msg"].removeprefix(" "))
            for values in map(json.loads, self.lines["json"])
        ]

    @staticmethod
    def _login(courier: Courier, source: str) -> None:
        for protocol in courier.protocols:
            with courier.client(protocol, source=source) as client:
                assert client.login(ALICE.name, ALICE.password)
                client.logout()


@pytest.fixture(
    scope="module",
    params=[Courier, Courier14, CourierTls, CourierTls14],
    ids=lambda kind: kind.__name__,
)
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    with request.param(tmp_path_factory.mktemp("courier")) as courier:
        yield Attacked(courier)


def test_courier_writes_whole_logins_of_a_clients_choice(attacked: Attacked) -> None:
    """Without this the tests below would show nothing."""
    forged = [message for _, message in attacked.messages if message == COURIERS.decode()]
    assert forged


def test_couriers_logins_count_by_default_and_its_pieces_do_not(
    attacked: Attacked, tmp_path: Path
) -> None:
    expected = {attacked.before, attacked.behind}
    for settings in ("", 'servers = ["courier"]\n'):
        assert expected == what_counts(tmp_path, attacked.lines["json"], settings)


@pytest.mark.parametrize("form", ["iso", "bsd"])
def test_in_a_feed_of_text_couriers_pieces_count_as_little(
    attacked: Attacked, form: str, tmp_path: Path
) -> None:
    authorised = what_counts(tmp_path, attacked.lines[form])
    assert {attacked.before} <= authorised <= {attacked.before, attacked.behind}


def send(path: Path, messages: list[tuple[str, str]]) -> None:
    """Write messages as syslog(3) does; the last one is a mark."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.connect(str(path))
        for program, message in [*messages, ("pbs-test", "the last one")]:
            text = message.encode("utf-8", "surrogateescape")
            now = time.strftime("%b %e %H:%M:%S").encode()
            log.send(b"<22>%s %s: %s" % (now, program.encode(), text))


def test_courier_through_journald_is_read_only_if_it_is_named(
    attacked: Attacked, tmp_path: Path
) -> None:
    with Journald(tmp_path / "journald") as journald:
        send(journald.log_socket, attacked.messages)
        show = [*journald.within(), *journald.program("/bin/journalctl")]

        def shown() -> list[bytes]:
            done = subprocess.run(
                [*show, "--directory=/run/log/journal", "-o", "json", "--no-pager", "--all"],
                capture_output=True,
                check=True,
            )
            lines = done.stdout.splitlines()
            return lines if any(b"the last one" in line for line in lines) else []

        lines = wait_for(shown, "the journal to have the last message")
    assert set() == what_counts(tmp_path, lines)
    authorised = what_counts(tmp_path, lines, 'servers = ["courier"]\n')
    assert {attacked.before} <= authorised <= {attacked.before, attacked.behind}


def test_courier_through_syslog_ng_counts_by_default(attacked: Attacked, tmp_path: Path) -> None:
    log, feed = tmp_path / "log", tmp_path / "feed"
    shipped = (CHECKOUT / "syslog-ng/pbs-filter/plugin.conf").read_text()
    start = shipped.index('template("$(format-json')
    template = shipped[start : shipped.index("\n", start)]
    configuration = (
        f'source s {{ unix-dgram("{log}" so-passcred(yes)); }};\n'
        f'destination d {{ file("{feed}" {template}); }};\n'
        "log { source(s); destination(d); };\n"
    )
    daemon = SyslogNg(tmp_path / "syslog-ng", configuration).start()
    try:
        wait_for(log.exists, "the socket")
        # The first login was not written in the second of the attack, but at least a second before.
        begin = next(n for n, (_, text) in enumerate(attacked.messages) if "LOGIN FAILED" in text)
        for messages in (attacked.messages[:begin], attacked.messages[begin:]):
            send(log, messages)
            time.sleep(SECONDS + 1)
        wait_for(lambda: feed.read_bytes().count(b"the last one") == 2, "the last message")
    finally:
        daemon.stop()
    authorised = what_counts(tmp_path, feed.read_bytes().splitlines())
    assert CANARY not in authorised
    assert attacked.before in authorised


# ------------------------------------------------------------------ GNU mailutils


def test_mailutils_writes_whole_logins_of_a_clients_choice_and_is_off(tmp_path: Path) -> None:
    connected, login = b"2AK8nIji 00::ffff:cb00:7142", b"2AK8nIji user `bob' logged in (source: a)"
    late, middle = bytearray(b"A" * 9000), bytearray(b"A" * 9000)
    for position in (6200, 6210, 6220):
        late[position : position + 1] = b"\n"
    late[8150 : 8150 + len(connected)] = connected
    middle[4200:4201] = b"\n"
    middle[8181 - 2043 : 8181] = login.rjust(2043)
    with Mailutils(tmp_path) as server:
        for name in (bytes(late), bytes(middle)):
            attempt(server, "imap", by_literal, name)
        source = "127.0.0.41"
        with server.client("imap", source=source) as client:
            assert client.login(ALICE.name, ALICE.password)
            client.logout()
        server.stop()
        lines = server.lines()
    messages = [json.loads(line)["msg"].strip(" ") for line in lines]
    assert connected.decode() in messages
    assert login.decode() in messages
    assert set() == what_counts(tmp_path, lines)
    assert source in what_counts(tmp_path, lines, server.settings())
