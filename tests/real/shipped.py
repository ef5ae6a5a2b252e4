"""The shipped files of rsyslog/ and syslog-ng/, as the real daemons run them: only paths differ."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbs_filter.errors import StoreBusy
from pbs_filter.map_format.entry import Entry, decode
from pbs_filter.servers import SERVERS
from pbs_filter.service import control
from pbs_filter.store.gdbm_map import GdbmMap

from .daemons.process import wait_for
from .packages import CHECKOUT

if TYPE_CHECKING:
    from .mtas.namespace import Namespace

PROGRAM = "/opt/pbs-filter/bin/pbs-filter"
LOG = "/var/log/pbs-filter.log"
CANARY = "203.0.113.66"
"""Always the address that an attacker wants in."""

_WRAPPER = """\
#!{python}
import sys
sys.path.insert(0, {checkout!r})
sys.argv[1:1] = ["--config={config}"]
from pbs_filter.cli import main
sys.exit(main())
"""


def shipped(name: str, paths: dict[str, str]) -> str:
    """The text of a shipped file; each key of `paths` must be in it, and becomes its value."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    for path, other in paths.items():
        assert path in text, f"{name} does not mention {path}"
        text = text.replace(path, other)
    return text


class Installed:
    """A pbs-filter as an administrator installs it, but below `directory`.

    `settings` are lines of its pbs-filter.toml.
    """

    def __init__(self, directory: Path, settings: str = "") -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.map = directory / "state" / "map.gdbm"
        self.log = directory / "pbs-filter.log"
        self.config = directory / "pbs-filter.toml"
        self.config.write_text(f'map = "{self.map}"\n{settings}')
        self.program = directory / "pbs-filter"
        self._text = _WRAPPER.format(
            python=sys.executable, checkout=str(CHECKOUT), config=str(self.config)
        )
        self.install()

    def install(self) -> None:
        """Put the program in its place."""
        fresh = self.program.with_suffix(".new")
        fresh.write_text(self._text)
        fresh.chmod(0o755)
        fresh.rename(self.program)

    def remove(self) -> None:
        """Take the program away: a start finds nothing."""
        self.program.unlink()

    @property
    def paths(self) -> dict[str, str]:
        """What to replace in a shipped file."""
        return {PROGRAM: str(self.program), LOG: str(self.log)}

    def entries(self) -> dict[str, Entry]:
        """The map, read as a lookup reads it; empty until the filter made one."""
        if not self.map.exists():
            return {}
        stored = GdbmMap(str(self.map))
        items = wait_for(lambda: _unless_busy(lambda: ([*stored.items()],)), "the map")
        found = {}
        for address, value in items[0]:
            entry = decode(address, value)
            assert entry is not None, f"{address}: {value!r}"
            found[address] = entry
        return found

    def has(self, address: str) -> bool:
        """Whether it is in the map; False also while a writer has that."""
        if not self.map.exists():
            return False
        return _unless_busy(lambda: GdbmMap(str(self.map)).get(address)) is not None

    def count(self) -> int:
        """Addresses in the map; -1 while a writer has it."""
        if not self.map.exists():
            return -1
        number = _unless_busy(GdbmMap(str(self.map)).count)
        return -1 if number is None else number

    def wait_for_count(self, number: int, seconds: float = 60.0) -> None:
        """Return when the map has that many addresses; give up when none comes for so long."""
        known = -1
        while known < number:
            before = known
            time.sleep(0.1)  # counting takes the lock that the filter needs: not too often
            more = partial(self._more_than, before)
            try:
                known = wait_for(more, f"{number} addresses", seconds, pause=0.1)
            except AssertionError as error:
                raise AssertionError(f"{error}; there are {before}\n{self.said()}") from None

    def _more_than(self, known: int) -> int:
        """The number of addresses if it is larger, else 0."""
        return number if (number := self.count()) > known else 0

    def wait_for_address(self, address: str, seconds: float = 30.0) -> None:
        """Return when it may relay."""
        try:
            wait_for(lambda: address in self.entries(), f"{address} in the map", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {[*self.entries()]}\n{self.said()}") from None

    def status(self) -> dict[str, Any]:
        """What the running filter says of itself."""

        def ask() -> Any:
            answer = _unless_busy(lambda: control.ask(f"{self.map}.control", {"do": "status"}))
            return answer and answer["status"]

        return wait_for(ask, "a filter that answers")

    def lines(self) -> int:
        """Lines of servers that the running filter got: without rsyslogd's own about its start."""
        status = self.status()
        return int(status["lines"] - status["reasons"].get("other_program", {"count": 0})["count"])

    def holder(self) -> int:
        """The pid of the filter that has the map, 0 where none has had it yet."""
        lock = Path(f"{self.map}.lock")
        found = re.match(r"pid (\d+)", lock.read_text()) if lock.exists() else None
        return int(found[1]) if found else 0

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""


def _unless_busy(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except (StoreBusy, FileNotFoundError):
        return None


def children(pid: int) -> list[int]:
    """The processes that `pid` started (any of its threads) and that live."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue  # the thread has ended meanwhile
    return [child for child in found if alive(child)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def filters(daemon: int) -> list[int]:
    """The filters that `daemon` runs: not the shell, nor the daemon's own fork, that become one."""

    def name(pid: int) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text().strip()
        return ""

    return [pid for pid in children(daemon) if name(pid) == "pbs-filter"]


def filter_of(daemon: int) -> int:
    """The pid of the daemon's filter, when there is one."""
    return wait_for(lambda: next(iter(filters(daemon)), 0), "a filter started by the daemon")


def kill_filter_of(daemon: int) -> int:
    """kill -9; the pid that it was."""
    while True:
        pid = filter_of(daemon)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        return pid


def wait_for_new_filter(daemon: int, old: int) -> int:
    """The pid of the filter that the daemon started after `old` was gone."""

    def new() -> int:
        return next((pid for pid in filters(daemon) if pid != old), 0)

    return wait_for(new, "a new filter")


class LogSocket:
    """Writes to a log socket as syslog(3) does, and measures how long that takes.

    `slowest_seconds` is without the time that we, or the process `daemon`, waited for a CPU: that
    is other programs' doing.
    """

    def __init__(self, path: Path, daemon: int = 0) -> None:
        self.path = path
        self.slowest_seconds = 0.0
        self._pids = (os.getpid(), *((daemon,) if daemon else ()))
        self._sent = 0
        self._queued: dict[str, int] = {}
        self._waited_for_cpu()
        self._socket = self._connected()

    def _waited_for_cpu(self) -> float:
        """Seconds that threads waited for a CPU since the last call."""
        before, self._queued = self._queued, {}
        for pid in self._pids:
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):  # it has ended
                    self._queued[task.parent.name] = int(task.read_text().split()[1])
        return sum(now - before.get(task, 0) for task, now in self._queued.items()) / 1e9

    def _connected(self) -> socket.socket:
        def try_it() -> socket.socket | None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                made.connect(str(self.path))
            except (FileNotFoundError, ConnectionRefusedError):
                made.close()
                return None
            return made

        return wait_for(try_it, f"somebody who listens on {self.path}")

    def send(self, message: bytes, tag: str = "dovecot") -> None:
        """One message; while the daemon is away, wait for it."""
        stamp = time.strftime("%b %e %H:%M:%S").encode()
        self.send_raw(b"<22>%s %s: %s" % (stamp, tag.encode(), message))

    def send_raw(self, datagram: bytes) -> None:
        """One datagram, as it is."""
        while True:
            began = time.perf_counter()
            try:
                self._socket.send(datagram)
            except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
                self._socket.close()
                self._socket = self._connected()
                continue
            taken = time.perf_counter() - began
            self._sent += 1
            if taken > self.slowest_seconds or self._sent % 256 == 0:
                self.slowest_seconds = max(self.slowest_seconds, taken - self._waited_for_cpu())
            return

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> LogSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


NOBODY = 65534
_SEND = """
import socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect(sys.argv[1])
for datagram in sys.stdin.buffer.read().split(b"\\0\\0"):
    log.send(datagram)
"""


_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def send_as_nobody(path: str | Path, datagrams: Iterable[bytes], *within: str) -> None:
    """What a local user without any rights can write to a log socket: any datagram at all.

    `within` stands before the command.
    """
    subprocess.run(
        [*within, *_AS_NOBODY, "/usr/bin/python3", "-c", _SEND, str(path)],
        input=b"\0\0".join(datagrams),
        check=True,
    )


def log_as_nobody(path: Path, daemon: int) -> None:
    """The same by logger(1), which can also claim any pid."""
    message = forged()[0].decode().partition(": ")[2]
    for pid in ([], ["--id=1"], [f"--id={daemon}"]):
        subprocess.run(
            [*_AS_NOBODY, "logger", *pid, "-t", "dovecot", "-u", str(path), "--", message],
            check=True,
        )


def forged(pid: int = 4711) -> list[bytes]:
    """Attempts of a local user to speak for Dovecot; each would let CANARY in."""
    login = f"imap-login: Login: user=<eve>, method=PLAIN, rip={CANARY}, lip=192.0.2.1, mpid=7, TLS"
    imitated = json.dumps({"h": "mx1", "p": "dovecot", "uid": 0, "msg": login})
    stamp = time.strftime("%b %e %H:%M:%S")
    return [
        text.encode()
        for text in (
            f"<22>{stamp} dovecot: {login}",
            f"<22>dovecot: {login}",
            f"<22>{stamp} dovecot[1]: {login}",
            f"<22>{stamp} dovecot[{pid}]: {login}",
            f"<22>{stamp} mx1 dovecot: {login}",
            f"<22>1 {time.strftime('%Y-%m-%dT%H:%M:%S%z')} mx1 dovecot 1 - - {login}",
            # a second line behind a newline, in every form
            f"<22>{stamp} dovecot: x\n{stamp} mx1 dovecot: {login}",
            f"<22>{stamp} dovecot: x\n<22>{stamp} dovecot: {login}\n",
            f"<22>{stamp} dovecot: x\n{imitated}\n",
            f"<22>{stamp} dovecot: x\0{imitated}",
            # text that would close the JSON's strings, or is JSON itself
            f'<22>{stamp} dovecot: ","uid":0,"msg":"{login}',
            f"<22>{stamp} dovecot: {imitated}",
            f"<22>{stamp} dovecot: @cee:{imitated}",
            f'<22>{stamp} dovecot","uid":0,"x":": {login}',
            f"{imitated}",
            # credentials in text, as an annotating rsyslog appends them
            f"<22>{stamp} dovecot: {login} @[_PID=1 _UID=0 _GID=0 _COMM=dovecot]",
            # Cyrus and a two-line server
            f"<22>{stamp} cyrus/imap[7]: login: pc7 [{CANARY}] eve plaintext User logged in",
            f"<22>{stamp} popa3d[7]: Session from {CANARY}",
            f"<22>{stamp} popa3d[7]: Authentication passed for eve",
        )
    ]


KNOWN = sorted({name for server in SERVERS for name in server.programs} | {"back-end.2/pop3d"})
"""Every program name that must come through a selection, and an instance of Cyrus."""
UNKNOWN = (
    "postfix/smtpd", "cyrusx", "imapx", "ximap", "dovecotx", "Dovecot", "xdovecot",
    "perditionximap4", "inxpopper", "rsyslogd", "back-end/imapx",
)  # fmt: skip


def odd_messages() -> Iterator[bytes]:
    """Messages as no server writes them: one line each, whatever odd byte is in its middle."""
    begin = b"imap-login: Aborted login (auth failed, 1 attempts): user=<bo"
    end = b"imap-login: Login: user=<eve>, method=PLAIN, rip=%b, TLS" % CANARY.encode()
    for code in (*range(0x20), 0x7F, 0x80, 0xC3, 0xE9, 0xFE, 0xFF):
        yield begin + bytes([code]) + end
        yield begin + bytes([code]) + b"<22>Nov 20 10:00:00 mx1 dovecot: " + end
    yield begin + b"\xed\xa0\x80" + end  # a surrogate
    yield begin + b"\xf4\x90\x80\x80" + end  # beyond Unicode
    yield begin + "\u2028\u202e\u0000".encode() + end
    for size in (8 << 10, 100 << 10):
        yield begin + b"x" * size + end
        yield begin + b"\xff" * size + end


def from_mx1(seconds_ago: int, text: str) -> str:
    """A line as mx1's rsyslog forwards it, written `seconds_ago`."""
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime(time.time() - seconds_ago))
    return f"<22>{stamp} mx1 dovecot: {text}"


def speaker(
    network: Namespace, server: str, port: int, certificate: Path
) -> Callable[[str, str], None]:
    """A function that connects from a source address by TLS and sends a text.

    `certificate` is a directory of `certificates.make`.
    """
    context = ssl.create_default_context(cafile=str(certificate / "ca.pem"))
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def speak(source: str, line: str) -> None:
        def connected() -> socket.socket | None:
            try:
                return socket.create_connection((server, port), source_address=(source, 0))
            except ConnectionRefusedError:
                return None

        connection = network.inside(lambda: wait_for(connected, f"port {port}"))
        with context.wrap_socket(connection, server_hostname="loghost.example.org") as secured:
            secured.sendall(line.encode())
            secured.shutdown(socket.SHUT_WR)
            # A close with something unread would be a reset, and the other side lose what it has.
            while secured.recv(4096):
                pass

    return speak


def address(number: int) -> str:
    """The address of client `number`, in the spelling of the map."""
    return f"2001:db8::{(number >> 16) + 1:x}:{number & 0xFFFF:x}"


def login(number: int) -> bytes:
    """What Dovecot writes when client `number` logs in."""
    return (
        f"imap-login: Login: user=<u{number}>, method=PLAIN, rip={address(number)}, "
        f"lip=2001:db8:ffff::1, mpid={number}, TLS, session=<s{number:011d}>"
    ).encode()


def addresses(numbers: Iterable[int]) -> Iterator[str]:
    return map(address, numbers)
