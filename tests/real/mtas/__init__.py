"""Real MTAs, one module each: in a private root, asking the map through pbs-lookup."""

from __future__ import annotations

import _gdbm
import contextlib
import shutil
import smtplib
import socket
import socketserver
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ... import layers
from ...lookup import maps
from ..daemons.process import Process, wait_for
from ..daemons.rsyslog import Rsyslog
from ..packages import CHECKOUT
from ..roots import PrivateRoot
from .namespace import Namespace

MAP = "/var/lib/pbs-filter/map.gdbm"
PROGRAM = "/opt/pbs-filter/bin/pbs-lookup"
EXAMPLES = CHECKOUT / "examples"

FILTER_UID, LOOKUP_UID = 61200, 61203
"""pbs-filter, who writes the map, and pbs-lookup, who may read it as one of its group."""
CLIENT, OTHER_CLIENT, IPV6_CLIENT = "192.0.2.7", "192.0.2.8", "2001:db8::7"
STRANGER = "198.51.100.99"
"""The addresses of those who log in and of one who never does. None of them may relay anyway."""
SERVER, IPV6_SERVER = "192.0.2.1", "2001:db8::1"
PORT = 25

LOCAL, REMOTE = "alice@lab.test", "foo@remote.example"
"""A recipient of ours, who takes mail from everybody, and one elsewhere: to him one must relay."""

_WITH_PROC = ("unshare", "--mount", "sh", "-c", 'mount -t proc proc "$2/proc" && exec "$@"', "sh")
"""Before `chroot ROOT COMMAND`: processes see each other, as on a machine; the mount is theirs."""

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Mta(ABC):
    """An MTA in a private root, whose map the test writes. As a context manager it runs."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    suite: ClassVar[str] = ""
    """The Debian that it, pbs-lookup's Python and all else is of; empty: this machine's own."""
    service_accounts: ClassVar[tuple[tuple[str, int], ...]] = ()
    map_group: ClassVar[int] = FILTER_UID
    """The group that may read the map: `group` of pbs-filter's configuration."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._closing = contextlib.ExitStack()
        self._running = contextlib.ExitStack()
        self.processes: dict[str, Process] = {}

    @abstractmethod
    def configure(self) -> Sequence[Process]:
        """Write the configuration below `self.root`; the processes, in the order of starting."""

    # ------------------------------------------------------------------ life

    def start(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.root = PrivateRoot(
                *self.packages,
                "python3",
                "python3-gdbm",
                suite=self.suite,
                service_accounts=(
                    ("pbs-filter", FILTER_UID),
                    ("pbs-lookup", LOOKUP_UID),
                    *self.service_accounts,
                ),
            )
            undo.callback(self.root.close)
            self.network = Namespace(
                [CLIENT, OTHER_CLIENT, IPV6_CLIENT, STRANGER, SERVER, IPV6_SERVER]
            )
            undo.callback(self.network.close)
            logs = self.directory / "rsyslog"
            logs.mkdir()
            self.syslog = Rsyslog.with_files(logs, [self.root.alias / "dev/log"]).start()
            undo.callback(self.syslog.stop)
            (self.root.path / "dev/log").chmod(0o666)
            self._install_lookup()
            self._closing = undo.pop_all()
        try:
            for process in self.configure():
                self.processes[process.name] = process
                self._running.enter_context(process)
            wait_for(self._listens, f"{self.name} to listen")
        except BaseException as error:
            said = [path.read_text(errors="replace") for path in self.directory.glob("*.out")]
            error.add_note("\n".join([f"{self.name} said:", *said, "and logged:", *self.log()]))
            self.close()
            raise
        return self

    def close(self) -> None:
        self._running.close()
        self._closing.close()

    def _install_lookup(self) -> None:
        """What `pip install` puts there, for the root's own Python; nothing it depends on."""
        packages = self.root.directory("/usr/lib/python3/dist-packages/pbs_filter")
        for name in ("__init__", "lookup", *layers.LOOKUP_MAY):
            source = CHECKOUT / "pbs_filter" / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, packages / name, ignore=ignored)
            else:
                shutil.copy(source.with_suffix(".py"), packages)
        script = (CHECKOUT / "pbs_filter/lookup/pbs-lookup").read_text()
        self.root.write(PROGRAM, script.replace("#!python", "#!/usr/bin/python3"), mode=0o755)
        # Compiled, as packages are when they are installed: the lookups' own user could not do it.
        compiling = ("/usr/bin/python3", "-m", "compileall", "-q")
        for argv in ((*compiling, f"/{packages.relative_to(self.root.path)}"), (PROGRAM, "--help")):
            subprocess.run(
                self.root.command(*argv), env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True
            )
        directory = self.root.directory("/var/lib/pbs-filter", mode=0o750)
        shutil.chown(directory, FILTER_UID, self.map_group)
        passwd = (self.root.path / "etc/passwd").read_text()
        own_group = f"pbs-lookup:x:{LOOKUP_UID}:{LOOKUP_UID}:"
        assert own_group in passwd
        self.root.write(
            "/etc/passwd", passwd.replace(own_group, f"pbs-lookup:x:{LOOKUP_UID}:{FILTER_UID}:")
        )
        self.map = self.root.path / MAP.lstrip("/")
        self.clear()

    def process(self, *argv: str, name: str = "", forks: bool = False) -> Process:
        """`argv` to be run inside the root; `forks`: it goes into the background by itself."""
        called = name or Path(argv[0]).name
        return Process(
            called,
            [*self.network.command(), *_WITH_PROC, *self.root.command(*argv)],
            output=self.directory / f"{called}.out",
            ready=lambda: True,
            forks=forks,
            environment=ENVIRONMENT,
        )

    def serve(self, *arguments: str) -> Process:
        """`pbs-lookup serve`."""
        process = self.process(PROGRAM, "serve", *arguments)
        sockets = [a.partition("unix:")[2] for a in arguments if "unix:" in a]
        process.ready = lambda: all(map(self._answers, sockets))
        return process

    def _answers(self, path: str) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.root.alias / path.lstrip("/"))) == 0

    def example(self, name: str) -> str:
        """The text of a file below examples/, as the administrator gets it."""
        return (EXAMPLES / name).read_text()

    # ------------------------------------------------------------------ the map

    def allow(self, address: str, seconds: int = maps.LIVING, **fields: object) -> None:
        """Write an entry for `address` that ends `seconds` from now."""
        maps.write(self.map, {address: maps.value(seconds, **fields)})  # type: ignore[arg-type]

    def clear(self) -> None:
        """An empty map, in place of whatever is there; the entry is only filler."""
        if self.map.is_dir():
            self.map.rmdir()
        fresh = self.map.with_name("fresh")
        fresh.unlink(missing_ok=True)
        maps.write(fresh, {"192.0.2.250": maps.value()})
        shutil.chown(fresh, FILTER_UID, self.map_group)
        fresh.rename(self.map)
        fresh.with_name("fresh.state").rename(self.map.with_name(self.map.name + ".state"))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the map as a writer does."""
        with _gdbm.open(str(self.map), "w"):
            yield

    # ------------------------------------------------------------------ asking it

    def rcpt(self, source: str, recipient: str = REMOTE, *, sender: str = "bob@example.org") -> str:
        """What the MTA says to RCPT for a client at `source` (or instead of its greeting)."""
        try:
            with self.client(source) as smtp:
                for reply in (
                    smtp.ehlo("client.example"),
                    smtp.mail(sender),
                ):
                    if reply[0] >= 400:
                        return _text(reply)
                return _text(smtp.rcpt(recipient))
        except smtplib.SMTPResponseException as error:
            return _text((error.smtp_code, error.smtp_error))

    def client(self, source: str) -> smtplib.SMTP:
        """A client's connection from `source`, one of the network's addresses."""
        server = IPV6_SERVER if ":" in source else SERVER
        return self.network.inside(
            lambda: _Smtp(server, PORT, source_address=(source, 0), timeout=300)
        )

    def _listens(self) -> bool:
        # Looked up and not tried: a connection would show in its log.
        tables = Path(f"/proc/{self.network.pid}/net")
        rows = (tables / "tcp").read_text() + (tables / "tcp6").read_text()
        return any(f":{PORT:04X} " in row and " 0A " in row for row in rows.splitlines())

    def log(self) -> list[str]:
        """What it and pbs-lookup have logged so far."""
        if self.syslog.process.running():
            self.syslog.settle()
        return [line.decode("utf-8", "replace") for line in self.syslog.lines("bsd")]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note("\n".join(["the log ends with:", *self.log()[-30:]]))
        self.close()


class _Smtp(smtplib.SMTP):
    """smtplib's client, for a server that may be gone before QUIT."""

    def __exit__(self, *args: object) -> None:
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            super().__exit__(*args)


def _text(reply: tuple[int, bytes | str]) -> str:
    code, text = reply
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"


class Sink:
    """An SMTP server at SERVER port `port` that takes every message and keeps it in `messages`."""

    port = 2525

    def __init__(self, network: Namespace) -> None:
        self.messages: list[bytes] = []
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 sink\r\n")
                for line in self.rfile:
                    verb = line[:4].upper()
                    if verb == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        body = b"".join(iter(self.rfile.readline, b".\r\n"))
                        sink.messages.append(body)
                    elif verb == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    self.wfile.write(b"250 ok\r\n")

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = network.inside(lambda: Listener((SERVER, self.port), Handler))
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def hung_socket(path: Path) -> contextlib.closing[socket.socket]:
    """A unix socket that takes connections into its queue and never answers."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o666)
    sock.listen(64)
    return contextlib.closing(sock)
