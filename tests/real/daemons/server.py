"""The interface of every POP/IMAP server of the tests."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ..clients import Client, Imap, Pop3
from ..packages import exclusive
from ..roots import PrivateRoot
from .process import DaemonError, Process, free_port, listening, wait_for
from .rsyslog import Rsyslog


class Server(ABC):
    """A server in a private root whose /dev/log is read by a private rsyslogd.

    As a context manager it runs; after `stop()` the last of its lines is in `lines()`.
    """

    name: ClassVar[str]
    """The name of its file in `pbs_filter/servers/`."""
    packages: ClassVar[tuple[str, ...]]
    suite: ClassVar[str] = ""
    """The Debian that it is from; empty: this machine's."""
    service_accounts: ClassVar[tuple[tuple[str, int], ...]] = ()
    protocols: ClassVar[tuple[str, ...]] = ("pop3", "imap")
    ipv6: ClassVar[bool] = True
    """Whether it can listen on ::1 here."""
    names_itself: ClassVar[bool] = False
    """Whether its login lines hold its own address: ::1 is client and server at once."""
    text_hides_pieces: ClassVar[bool] = False
    """Whether its logger cuts lines, so that some logins of a text feed may be pieces of others."""
    logs_refused_mailboxes: ClassVar[bool] = False
    """Whether it logs the login of somebody whose mailbox it then finds to have a wrong name."""
    protocol_in_rfc5424: ClassVar[bool] = True
    """Whether a line says so too where its program's name is cut at the slash."""
    odd_names: ClassVar[int] = 5
    """How many of ODD_ACCOUNTS, at least, it lets in by each protocol."""
    names_user: ClassVar[bool] = True
    """Whether its login lines say who logged in."""
    writes_as_user: ClassVar[bool] = False
    """Whether some of its lines carry the uid of the user who logged in (written after setuid)."""
    must_be_named: ClassVar[bool] = False
    """Whether pbs-filter reads it only where the configuration names it."""
    at_once: ClassVar[int] = 30
    """Connections it takes from one address at one time."""
    fixed_ports: ClassVar[dict[str, int]] = {}
    """The ports of a server that can have no others. Two such never run at one time."""

    def __init__(self, directory: Path, *, rules: str = "") -> None:
        self.directory = directory
        self.rules = rules
        self.ports = {
            protocol: self.fixed_ports.get(protocol) or free_port() for protocol in self.protocols
        }
        self._running = contextlib.ExitStack()
        self._closing = contextlib.ExitStack()

    @abstractmethod
    def configure(self) -> Sequence[Process]:
        """Write the configuration below `self.root`; the processes, in the order of starting."""

    def start(self) -> Self:
        with contextlib.ExitStack() as undo:
            for port in self.fixed_ports.values():
                undo.enter_context(exclusive(f"port-{port}"))
                if listening(port):
                    raise DaemonError(f"{self.name} needs port {port}; something listens there")
            self.root = PrivateRoot(
                *self.packages, service_accounts=self.service_accounts, suite=self.suite
            )
            undo.callback(self.root.close)
            logs = self.directory / "rsyslog"
            logs.mkdir()
            self.syslog = Rsyslog.with_files(
                logs, [self.root.alias / "dev/log"], rules=self.rules
            ).start()
            undo.callback(self.syslog.stop)
            (self.root.path / "dev/log").chmod(0o666)
            self._closing = undo.pop_all()
        try:
            for process in self.configure():
                self._running.enter_context(process)
            for protocol, port in self.ports.items():
                wait_for(partial(listening, port), f"{self.name} to listen for {protocol}")
        except BaseException as error:
            said = [path.read_text(errors="replace") for path in self.directory.glob("*.out")]
            self.stop()
            logged = [line.decode("utf-8", "replace") for line in self.lines("bsd")]
            error.add_note("\n".join([f"{self.name} said:", *said, "and logged:", *logged[-20:]]))
            self.close()
            raise
        return self

    def stop(self) -> None:
        """Stop the server, not its log: every line it wrote is in `lines()` afterwards."""
        self._running.close()
        self.root.end_processes()
        if self.syslog.process.running():
            self.syslog.settle()

    def close(self) -> None:
        """Stop the log as well and remove the root."""
        self._closing.close()

    def lines(self, form: str = "json") -> list[bytes]:
        return self.syslog.lines(form)

    def client(self, protocol: str, *, source: str | None = None, ipv6: bool = False) -> Client:
        """A client's fresh connection, from `source` (IPv4 loopback address)."""
        kind = {"pop3": Pop3, "imap": Imap}[protocol]
        return kind("::1" if ipv6 else "127.0.0.1", self.ports[protocol], source=source)

    def is_own_address(self, address: str) -> bool:
        """Whether its lines name `address`, as it names itself, so that it is never authorised."""
        return self.names_itself and address == "::1"

    @classmethod
    def settings(cls) -> str:
        """What pbs-filter.toml needs for this server beyond the defaults."""
        named = f'servers = ["{cls.name}"]\n' if cls.must_be_named else ""
        accounts = f'trusted_accounts = {{ {cls.name} = ["=user"] }}\n'
        return named + (accounts if cls.writes_as_user else "")

    def process(self, *argv: str, name: str = "", forks: bool = False) -> Process:
        """`argv` to be run inside the root; `forks`: it goes into the background by itself."""
        called = name or Path(argv[0]).name
        return Process(
            called,
            self.root.command(*argv),
            output=self.directory / f"{called}.out",
            ready=lambda: True,
            forks=forks,
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self.close()
