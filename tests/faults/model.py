"""A model of the promises: a filter in a fork, its clocks and its disk in the hands of a test.

`Site` does what a rule of the state machine says, to real files and real processes, and keeps two
tables beside them: until when an address must not be "no", and from when on it must not be "yes".
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pbs_filter import clock, files
from pbs_filter.lookup.answer import NO, YES, Lookup
from pbs_filter.map_format.gdbm_reader import GdbmReader
from pbs_filter.map_format.map_clock import MapClock
from pbs_filter.service import build, control, feed, persister, storage
from pbs_filter.store import journal_file, journal_lines

from ..store.crash_states import Recorder, found_in, make, some_bytes
from ..store.store_tools import store_modules_with_os
from .lives import Death, Life, disarm, made, small_steps
from .machine import Machine

GRACE = 600
MAX_SESSION = 1500
EDGE = 4.0
"""Seconds about an end in which any answer is right: real time goes by, and times are whole."""
ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8:0:1::7", "2001:db8:0:2::7")
FILES = ("", ".journal", ".state", ".clock")
"""What the names of the store's files end with."""
BROKEN: list[str] = []
"""The promises that were broken, each with its history."""
_ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def stored(address: str) -> str:
    """What the map has for an address, with `ipv6_prefix = 64`."""
    return address.replace("::7", "::/64")


def an_hour_older(state: bytes) -> bytes:
    """What a `PATH.state` says that was written an hour earlier."""
    *words, written = state.rstrip().rsplit(b" ", 1)
    if not written.isdigit():
        return state
    return b" ".join((*words, b"%d" % (int(written) - 3600 * 10**9))).ljust(255) + b"\n"


class Site:
    """One store and what the model knows of it."""

    def __init__(self) -> None:
        memory = "/dev/shm"
        self.place = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.place.chmod(0o750)
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115  # until `close`
        self.machine = Machine()
        self.machine.run_on()
        self.settings = made(
            self.place,
            servers=("dovecot", "solid-pop3d"),
            grace_seconds=GRACE,
            max_session_seconds=MAX_SESSION,
            ipv6_prefix=64,
        )
        _compile(self.settings.servers)
        clocks = MapClock(self.settings.map)
        self.lookup = Lookup(GdbmReader(self.settings.map), now=clocks.now, ipv6_prefix=64)
        self.life: Life | None = None
        self.may_die = False
        """The filter was started to be killed at some call."""
        self.asks = False
        """Somebody asks before each call with which the filter changes a file."""
        self.had_errors = False
        """The disk failed since the filter was started."""
        self.copies: dict[str, bytes] = {}
        """The store's files as they were once, by the ends of their names."""
        self.serial = 0
        self.history: list[tuple[Any, ...]] = []
        self.promised: dict[str, tuple[int, float]] = {}
        """Of an address the newest login that counts, and its end in real time."""
        self.allowed: dict[str, float] = {}
        self.sessions: dict[str, tuple[str, float]] = {}
        self.over: list[tuple[str, float]] = []
        """Sessions that ended: the line of their end may be what a damaged journal loses."""
        self.open_again: list[tuple[str, float]] = []
        self.revoked: dict[str, float] = {}
        """What was allowed of an address before somebody forgot it; likewise."""
        self.revoked_at: dict[str, float] = {}
        self.promised_at: dict[str, float] = {}
        self.all_steps = 0.0
        self.clock_steps = 0.0
        """Steps of the clock that the journal may not know of."""
        self.same_boot = True
        self.journal_whole = True
        self.map_whole = True
        self.map_doubtful = False
        """Bytes of a map in use were changed, which no reader can see."""

    def close(self) -> None:
        """The end of the history."""
        if self.life is not None:
            self.life.kill()
            self.life.end()
        self.machine.stop()
        self.stderr.close()
        shutil.rmtree(self.place)

    # ------------------------------------------------------------------ the filter

    def start(self, death: Death | None) -> bool:
        """Start a filter, which may die; whether it says that it is ready."""
        self.history.append(
            (
                "start",
                death,
            )
        )
        assert self.life is None
        quiet = death is None and not self.machine.disk
        self.may_die = death is not None
        self.had_errors = bool(self.machine.disk)
        self.life = Life(self.settings, death, prepare=self._prepare)
        self.check()
        ready = self._reply()
        if ready is None:
            self._died()
            return False
        self._demand(ready == b"OK", f"{ready!r} for a greeting")
        self.journal_whole = self.map_whole = self.same_boot = True
        self.map_doubtful = False
        self.clock_steps = 0.0
        now = self.machine.now()
        self._hold()
        if quiet:
            for address, (_, end) in self.promised.items():
                if now < end - EDGE:
                    answer = self._answer(address)
                    self._demand(answer == YES, f"{address} is {answer!r} after a quiet start")
        return True

    def _answer(self, address: str) -> str:
        """What a lookup says; on a busy machine the filter may have the map for a while."""
        end = time.monotonic() + 10
        while True:
            answer = self.lookup.ask(address.encode())
            if answer in (YES, NO) or time.monotonic() > end:
                return answer

    def _prepare(self) -> None:
        small_steps()
        os.dup2(self.stderr.fileno(), 2)
        feed.CLOSE_SECONDS = 0.3
        persister.REBUILD_ADDRESSES = 1
        journal_file.LEAVING_SECONDS = 0.05
        self.machine.be_the_disk()
        disk = _Disk(self.place)
        for module in (files, storage, *store_modules_with_os()):
            module.os = disk  # type: ignore[attr-defined]

        def lose_power(*_: object) -> None:
            disarm()
            disk.lose_power(random.Random(self.machine.seed))

        signal.signal(signal.SIGUSR1, lose_power)

    def _died(self) -> None:
        """The filter has ended without being asked to."""
        assert self.life is not None
        self._hold()
        status = self.life.end()
        self.life = None
        killed = self.may_die and status == signal.SIGKILL
        self._demand(
            killed or self.had_errors, f"it ended by itself, {status}: {self._last_words()!r}"
        )

    def _last_words(self) -> bytes:
        self.stderr.seek(0)
        return self.stderr.read()[-2000:]

    def be_with_filter(self) -> bool:
        """Start a filter where none runs; whether one runs then."""
        return self.life is not None or self.start(None)

    def be_without_filter(self) -> None:
        """kill -9, where one runs."""
        self.history.append(("be_without_filter",))
        if self.life is None:
            return
        self._hold()
        self.life.kill()
        self.life.end()
        self.life = None

    def start_another(self) -> None:
        """Somebody removes the lock file of a running filter and starts a second one."""
        self.history.append(("start_another",))
        assert self.life is not None
        if not Path(self.settings.journal).exists():
            return  # then a second one does start, and the first refuses its lines
        Path(self.settings.lock).unlink(missing_ok=True)
        other = Life(self.settings, None, prepare=self._prepare)
        answer = other.reply()
        self._demand(answer is None or self.life.has_ended(), "two filters write one journal")
        other.kill()
        other.end()

    def end_input(self) -> None:
        """End of input, and what the filter makes of it."""
        self.history.append(("end_input",))
        assert self.life is not None
        self._hold()
        self.life.finish()
        self.life = None

    def say(self, text: str) -> bool:
        """Send a line; whether it is acknowledged."""
        self.history.append(
            (
                "say",
                text,
            )
        )
        assert self.life is not None
        self.life.send(f"Nov 28 09:00:00 mx1 {text}\n".encode())
        reply = self._reply()
        if reply is None:
            self._died()
            return False
        if reply != b"OK":
            self._demand(self.had_errors, f"{reply!r} for a reply")
            return False
        self.clock_steps = 0.0
        return True

    def _reply(self) -> bytes | None:
        """The filter's next reply."""
        assert self.life is not None
        return self.life.reply(at_stop=self.check if self.asks else None)

    @contextlib.contextmanager
    def asked_all_the_time(self) -> Iterator[None]:
        """Let somebody ask before each call with which the filter changes a file."""
        self.history.append(("asked_all_the_time",))
        self.asks = self.machine.stops = True
        try:
            yield
            end = time.monotonic() + 0.05  # what it does behind its reply
            while self.life is not None and time.monotonic() < end:
                self.life.go_on(self.check)
        finally:
            self.asks = self.machine.stops = False
            while self.life is not None and self.machine.may_stop and self.life.status is None:
                self.life.go_on(lambda: None)
            self.history.append(("asked_no_more",))

    # ------------------------------------------------------------------ what happens

    def login(self, address: str, *, session: bool) -> None:
        """A login of Dovecot."""
        self.serial += 1
        key = f"s{self.serial}"
        more = f", session=<{key}>" if session else ""
        self._allow(address, self.machine.now() + 1)
        if session:
            self.sessions[key] = address, self.machine.now()
        if self.say(
            f"dovecot: imap-login: Login: user=<u{self.serial}>, method=PLAIN, rip={address}, "
            f"lip=198.51.100.254, mpid=41, TLS{more}"
        ):
            self._promise(address)

    def last_login(self, address: str) -> None:
        """A login of Dovecot, and with its line the input ends."""
        assert self.life is not None
        self.serial += 1
        self._allow(address, self.machine.now() + 1)
        self.history.append(("last_login", address, self.serial))
        life = self.life
        life.send(
            b"Nov 28 09:00:00 mx1 dovecot: imap-login: Login: user=<u%d>, method=PLAIN, rip=%b, "
            b"lip=198.51.100.254, mpid=41, TLS\n" % (self.serial, address.encode())
        )
        life.end_input()
        if life.reply() == b"OK":
            self.clock_steps = 0.0
            self._promise(address)
        self._hold()
        life.end()
        self.life = None

    def login_in_two_lines(self, address: str, times: int) -> None:
        """A login of solid-pop3d, whose last line comes again, as after a kill of the filter."""
        self.serial += 1
        pid = 1000 + self.serial
        self._allow(address, self.machine.now() + 1)
        if self.say(f"spop3d[{pid}]: connect from {address}"):
            for _ in range(times):
                if self.life is None:
                    break
                self.sessions.setdefault(f"p{pid}", (address, self.machine.now()))
                if self.say(f"spop3d[{pid}]: user u{self.serial} authenticated"):
                    self._promise(address)

    def logout(self, key: str) -> None:
        """The end of a session of Dovecot."""
        address, opened = self.sessions[key]
        now = self.machine.now()
        self._allow(address, min(now, opened + MAX_SESSION) + 1)
        if self.say(f"dovecot: imap(bob)<41><{key}>: Disconnected: Logged out in=1 out=2"):
            self.over.append(self.sessions.pop(key))

    def ask_filter(self, request: dict[str, Any]) -> None:
        """A person's --forget or --authorise, through the running filter."""
        self.history.append(
            (
                "ask_filter",
                request,
            )
        )
        address = str(request["address"])
        now = self.machine.now()
        if request["do"] == "authorise":
            self.serial += 1
            request["note"] = f"u{self.serial}"
            self.allowed[address] = max(
                self.allowed.get(address, 0.0), now + request["seconds"] + 1
            )
        else:
            self.promised.pop(address, None)  # from here on nothing is promised
            self.revoked_at[address] = now
            self.revoked[address] = max(self._latest(address), self.revoked.get(address, 0.0))
        try:
            answer = control.ask(self.settings.control, request)
        except Exception:
            answer = None
        if answer is None or "error" in answer:
            if self.life is not None and self.life.has_ended():
                self._died()
            return
        if request["do"] == "authorise":
            end = now + request["seconds"]
            self.promised_at[address] = now
            self.promised[address] = (
                self.serial,
                max(end, self.promised.get(address, (0, 0.0))[1]),
            )
        else:
            self.allowed.pop(address, None)
            for key in [key for key, (held, _) in self.sessions.items() if held == address]:
                self.over.append(self.sessions.pop(key))

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.history.append(
            (
                "set_clock",
                seconds,
            )
        )
        self.machine.set_clock(seconds)
        self.clock_steps += seconds
        self.all_steps += abs(seconds)
        if not self.same_boot:
            self._forget_times()

    def _forget_times(self) -> None:
        """The clock was set and the machine was off: nobody knows by how much together."""
        if abs(self.clock_steps) < 1:
            return
        self.promised.clear()
        for address in self.allowed:
            self.allowed[address] += abs(self.clock_steps)
        self.clock_steps = 0.0

    def wait(self, seconds: float) -> None:
        """Real time goes by."""
        self.history.append(
            (
                "wait",
                seconds,
            )
        )
        self._hold()
        self.machine.wait(seconds)
        self._hold()

    def settle(self) -> None:
        """Let the filter write its map, and somebody ask all the time."""
        self.history.append(("settle",))
        if self.life is None or self.machine.disk:
            return
        end = time.monotonic() + 5
        while time.monotonic() < end:
            self.check()
            now = self.machine.now()
            waiting = [a for a, (_, until) in self.promised.items() if now < until - EDGE]
            if all(self.lookup.ask(a.encode(), patience=0.0) == YES for a in waiting):
                return

    def _allow(self, address: str, at: float) -> None:
        self.allowed[address] = max(self.allowed.get(address, 0.0), at + GRACE)

    def _promise(self, address: str) -> None:
        self.promised_at[address] = self.machine.now()
        end = self.machine.now() + GRACE
        self.promised[address] = self.serial, max(end, self.promised.get(address, (0, 0.0))[1])

    def _hold(self) -> None:
        """While a filter runs it renews the leases of addresses with open sessions."""
        if self.life is not None:
            now = self.machine.now()
            for address, opened in [*self.sessions.values(), *self.open_again]:
                self._allow(address, min(now, opened + MAX_SESSION))

    # ------------------------------------------------------------------ damage

    def let_disk_fail(self, error: int) -> None:
        """From now on the disk takes nothing, with `error`; 0: it is mended."""
        self.history.append(
            (
                "let_disk_fail",
                error,
            )
        )
        self.machine.disk = error
        self.had_errors = self.had_errors or bool(error)

    def damage(self, name: str, change: Callable[[Path], None]) -> None:
        """Somebody removes, cuts or spoils a file."""
        self.history.append(
            (
                "damage",
                name,
                change,
            )
        )
        path = Path(self.settings.map + name)
        if not path.is_file():
            return
        in_use = (
            b"closed" not in Path(self.settings.map + ".state").read_bytes()[:10]
            if (Path(self.settings.map + ".state").exists())
            else True
        )
        change(path)
        self.had_errors = self.had_errors or self.life is not None
        if name == "":
            self.map_whole = False
            if path.exists():
                self.map_doubtful = self.map_doubtful or in_use
        elif name == ".journal":
            self.journal_whole = False
            self.open_again += self.over
            self.over.clear()
            # A damaged line may be that of a --forget, or tell how the clock was set.
            self._allow_what_was_revoked()
        if not self.journal_whole:
            self._keep_what_can_be_found()

    def copy_files(self) -> None:
        """Somebody makes a backup, of a filter that may run."""
        self.history.append(("copy_files",))
        for name in FILES:
            path = Path(self.settings.map + name)
            if path.is_file():
                self.copies[name] = path.read_bytes()

    def put_back(self, name: str) -> None:
        """Somebody puts one file of the backup in its place."""
        if name not in self.copies:
            return
        data = self.copies[name]
        if name == ".state":
            data = an_hour_older(data)
        self.damage(name, functools.partial(Path.write_bytes, data=data))
        if name == "":  # until a filter starts it says what it said then, by the clock of then
            self._allow_what_was_revoked()
        if name != ".journal":  # no older clock, or place in the journal, is the map's
            self.map_whole = False

    def _allow_what_was_revoked(self) -> None:
        """An old file knows no later --forget, and no later clock."""
        for address, end in self.revoked.items():
            self.allowed[address] = max(end, self.allowed.get(address, 0.0))
        for address in self.allowed:
            self.allowed[address] += self.all_steps

    def _keep_what_can_be_found(self) -> None:
        """The journal is damaged: a promise holds where its login is in what is left."""
        # The line of a --forget may be left, and not that of the login behind it: then that counts
        # if it came a second later, and the map has it.
        for address, at in self.revoked_at.items():
            if self.all_steps or self.promised_at.get(address, 0.0) < at + 2:
                self.promised.pop(address, None)
        logins: dict[str, set[int]] = {}
        try:
            for payload in journal_lines.read(self.settings.journal):
                fields = payload.split("\t")
                if fields[0] == "a" and not self.all_steps:
                    logins.setdefault(fields[1], set()).add(int(fields[8][1:] or 0))
                elif fields[0] == "d":
                    logins.pop(fields[1], None)
        except Exception:
            logins.clear()
        if self.map_whole:
            for address, user in entries_of(self.settings.map).items():
                logins.setdefault(address, set()).add(int(user[1:] or 0))
        for address, (serial, _) in list(self.promised.items()):
            if serial not in logins.get(stored(address), ()):
                del self.promised[address]

    def power_cut(self, seed: int) -> None:
        """The machine stops: of what was not synced, anything may be there."""
        self.history.append(
            (
                "power_cut",
                seed,
            )
        )
        if self.machine.disk or not self.be_with_filter():
            return
        assert self.life is not None
        self._hold()
        self.machine.seed = seed
        os.kill(self.life.pid, signal.SIGUSR1)
        self.life.end()
        self.life = None
        self._begin_another_boot()
        self.same_boot = False
        self._forget_times()
        self.map_whole = False
        self.map_doubtful = False
        if not self.journal_whole:
            self._keep_what_can_be_found()

    def _begin_another_boot(self) -> None:
        """What the files say of this start of the machine is said of another one."""
        self.copies.clear()
        boot = clock.boot_id().encode()
        other = _ANOTHER_BOOT.encode()
        for name in (".state", ".clock"):
            path = Path(self.settings.map + name)
            if path.exists():
                path.write_bytes(path.read_bytes().replace(boot, other))
        path = Path(self.settings.journal)
        if not path.exists():
            return
        fd = os.open(path, os.O_RDONLY)
        try:
            begin, mark, _ = journal_lines.find_mark(fd, str(path))
        finally:
            os.close(fd)
        if not begin:
            return
        data = path.read_bytes()
        lines = data[begin:].split(b"\n")
        for number, line in enumerate(lines[:-1]):
            if boot in line:
                text = line[9:].replace(boot, other).decode()
                lines[number] = journal_lines.encode([text], mark)[0][:-1]
        path.write_bytes(data[:begin] + b"\n".join(lines))

    # ------------------------------------------------------------------ invariants

    def _demand(self, condition: bool, text: str) -> None:
        """A promise. What breaks one is kept: Hypothesis may only say that it is not always so."""
        if not condition:
            steps = "\n    ".join(map(repr, self.history))
            BROKEN.append(f"{text}, after\n    {steps}")
            raise AssertionError(BROKEN[-1])

    def check(self) -> None:
        """Ask for every address: what was promised is not "no", what has ended is not "yes"."""
        for address in ADDRESSES:
            before = self.machine.now()
            try:
                answer = self.lookup.attempt(address.encode(), None)
            except Exception:
                continue  # locked: "not now"
            _, end = self.promised.get(address, (0, 0.0))
            if before < end - EDGE and not self.map_doubtful:
                self._demand(answer != NO, f"{address} is lost {end - before:.0f} s before its end")
            over = before - self._latest(address)
            self._demand(
                answer != YES or over < EDGE, f"{address} outlives its end by {over:.0f} s"
            )

    def _latest(self, address: str) -> float:
        self._hold()
        return self.allowed.get(address, 0.0)


@functools.cache
def _compile(servers: tuple[str, ...]) -> None:
    """Compile the grammars, and read the modules, here and once, not in each fork."""
    importlib.import_module("dbm.gnu")
    pipeline = build.pipeline_of(made(Path("/"), servers=servers), lambda _text: None)
    pipeline.block(
        b"Nov 28 09:00:00 mx1 dovecot: imap(bob)<41><s>: Disconnected: Logged out in=1 out=2\n"
        b"Nov 28 09:00:00 mx1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, "
        b"lip=198.51.100.254, mpid=41, TLS, session=<s>\n"
        b"Nov 28 09:00:00 mx1 spop3d[7]: connect from 192.0.2.7\n"
        b"Nov 28 09:00:00 mx1 spop3d[7]: user bob authenticated\n",
        0,
    )


class _Disk(Recorder):
    """Knows what of a filter's files is durable, and leaves just that, and some more, behind."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._place = directory

    def _done(self, call: str) -> None:
        return

    def _change(self, fd: int, *change: Any) -> None:
        if fd in self._files:
            super()._change(fd, *change)

    def sendfile(self, out: int, source: int, offset: int, count: int) -> int:
        if out in self._files:
            return super().sendfile(out, source, offset, count)
        return os.sendfile(out, source, offset, count)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        if str(self._place) not in (path, os.path.dirname(path)):
            return os.open(path, flags, mode)
        return super().open(path, flags, mode)

    def fsync(self, fd: int) -> None:
        if fd in self._files:
            super().fsync(fd)
        else:
            os.fsync(fd)

    def lose_power(self, chance: random.Random) -> None:
        """End this process and leave a directory as the next start of the machine may find it."""
        names = dict(self._disk.names)
        for change in self._disk.since:
            if chance.random() < 0.5:
                self._disk._rename(names, change)
        real = found_in(self._place)
        content = {}
        for name, number in names.items():
            file = self._disk.files[number]
            while len(file.since) > 6:
                file.durable = file.apply(file.durable, file.since.pop(0))
            content[name] = chance.choice(list(file.contents(some_bytes)))
            if name in ("map", "map.new", "map.copy"):  # GDBM's own writes are not known
                whole = real.get(name, b"")
                content[name] = chance.choice((whole, whole[: len(whole) // 2], b""))
        make(self._place, content)
        os.kill(os.getpid(), signal.SIGKILL)


def entries_of(path: str) -> dict[str, str]:
    """Addresses of a map and their users, read by GDBM alone."""
    import dbm.gnu

    entries = {}
    try:
        with dbm.gnu.open(path, "ru") as database:
            key = database.firstkey()
            while key is not None:
                entries[key.decode()] = database[key][76:].decode().strip()
                key = database.nextkey(key)
    except Exception:
        pass  # as far as it can be read
    return entries
