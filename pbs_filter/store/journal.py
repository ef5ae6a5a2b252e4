"""The journal: what changed, one line each, made durable before its cause is acknowledged.

The format is in `lines`. What a payload means is the caller's affair, but it must be a *state*
("192.0.2.7 is now so"), never an event: later wins, and reading one twice changes nothing. Repair
and rewriting rest on that. The files are made and changed in `journal_file`.

**Durable.** A block of lines is written by one pwrite and one fdatasync. Room for the next mebibyte
is claimed ahead (zero bytes after the last line mean nothing): an fdatasync that need not record a
new file length costs a third less, and a full disk is noticed before a line is half written.

**Trouble.** If a write or its sync fails, the file is cut back to what is known to be durable, so
that a later append is not glued to half a line. After a failed sync the kernel counts the lost
pages as written and a second sync would lie: the same lines are therefore written again (the caller
repeats them), and the whole journal is rewritten as soon as possible.

**Damage.** Each line stands alone. On `replay` a last line without its end was never acknowledged
and is dropped; any other unreadable line is skipped, and the rest on both sides of it is used.
`start` keeps the damaged file under a dated name and writes the journal anew. What was lost and is
known from elsewhere (the map) goes into the new file before that takes the name: whoever is killed
on the way leaves the old one to the next start.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from .. import files
from ..errors import StoreBusy
from . import history, journal_lines
from .journal_file import Part, be_alone, keep_old, new_part, open_present, put_aside

AHEAD_BYTES = 1 << 20
"""Room claimed beyond the last line."""
BORN = "b"
"""What the payload begins with that says when a journal was begun, in seconds since the epoch."""
SPARE_LINES = 10_000
"""A journal is rewritten when it has this many lines beside two for each live state."""


class Journal:
    """The one writer of a journal file, which it locks; whoever makes it holds the lock file.

    Args:
        path: the file; its directory must exist.
        say: takes a sentence the operator should read.
        mode: of the file.
        group: of the file; "": as the system gives it.
        history_seconds: no line of what has ended is kept longer, if `is_old` is asked and heeded.

    Raises:
        ConfigError: there is no such group.
    """

    def __init__(
        self,
        path: str,
        *,
        say: Callable[[str], None] = lambda _sentence: None,
        mode: int = 0o640,
        group: str = "",
        history_seconds: int | None = None,
    ) -> None:
        self._path = path
        self._history_seconds = history_seconds
        self.born_epoch: int | None = None
        """When it was begun; None: nobody knows."""
        self._born_before: int | None = None
        self._say = say
        self._mode = mode
        self._gid = files.gid_of(group)
        self._part: Part | None = None
        self._scan: journal_lines.Scan | None = None
        """How the journal was read, until `start`."""
        self._whole = True
        """Its first line could be read."""
        self._next: Part | None = None
        self._names_unsure = False
        """The directory was not synced after a rename."""
        self.lost_lines = False
        """There was no journal, or not all of it can be read: the map may know more."""
        self.bytes_known = 0
        """How long it was once, as `position` counts, if that is known from elsewhere."""
        self.is_outdone = False
        """What it says does not count beside what was recovered."""
        self.may_be_cut = False
        """There is no claimed room behind the last line: an orderly end gave it back, nothing was
        written since the start, or somebody cut the end off."""

    # ------------------------------------------------------------------ start

    def replay(self) -> Iterator[str]:
        """Read the journal; yields its payloads, oldest first. Exhaust it, then `start`.

        Raises:
            ConfigError: the place is not one we may use, or a newer version wrote the file.
            StoreBusy: the file system does not let us.
        """
        files.check_file(self._path)
        try:
            fd = open_present(self._path, self._mode, self._say)
            try:
                if fd is not None:
                    yield from self._replay(fd)
            finally:
                if fd is not None and self._part is None:
                    os.close(fd)
            self.lost_lines = self.lost_lines or self._part is None
            files.remove(self._path + ".new")
        except OSError as error:
            raise files.busy("open the journal", error.filename or self._path, error) from error

    def _replay(self, fd: int) -> Iterator[str]:
        is_alone = be_alone(fd, self._path)
        begin, mark, whole = journal_lines.find_mark(fd, self._path)
        if not begin:
            put_aside(self._path, "not a journal", self._say)
            return
        before, start = journal_lines.find_before(fd, begin, mark)
        scan = journal_lines.Scan(fd, start, mark)
        yield from scan
        part = Part(fd, mark, before)
        part.length = part.room = scan.end
        part.lines, part.suspect = scan.good, not is_alone  # a new one will be ours alone
        # Where the end of the first line is damaged, it holds lines that are lost.
        self.lost_lines = scan.damaged > 0 or scan.torn or begin != len(journal_lines.header(mark))
        self.may_be_cut = os.fstat(fd).st_size <= scan.end
        self._scan, self._whole, self._part = scan, whole, part

    def start(self, recovered: Sequence[str] = (), *, anew: bool = False) -> None:
        """Make ready for `append`, with the `recovered` payloads in it; all of that is durable when
        this returns. `anew`: in a new file, as half of it could look whole at the end of this one.

        Raises: StoreBusy.
        """
        try:
            part, scan = self._part, self._scan
            if part is None or scan is None:
                self._write_anew(recovered)
                return
            if scan.torn:
                self._say(f"the journal {self._path!r}: an unfinished last line was dropped")
            if scan.damaged or not self._whole:
                self._repair(scan.damaged, recovered)
            elif recovered and (scan.torn or anew):
                # Written over the torn line it could look whole when only half of it is there.
                self._write_anew(recovered)
            if self._part is part:
                self.append(recovered)
                os.ftruncate(part.fd, part.length)
                part.room = part.length
        except OSError as error:
            raise files.busy("open the journal", self._path, error) from error

    def _write_anew(self, recovered: Sequence[str]) -> None:
        """Write the good lines and what was recovered to a new journal. Raises: StoreBusy."""
        self.begin_rewrite()
        lines = itertools.chain(() if self.is_outdone else self._scan or (), recovered)
        while some := list(itertools.islice(lines, SPARE_LINES)):
            self.rewrite_step(some)
        self.finish_rewrite()

    def _repair(self, damaged: int, recovered: Sequence[str]) -> None:
        """Write the journal anew, keep the old one for people to look at."""
        what = f"{damaged} damaged lines skipped" if damaged else "its first line is damaged"
        name = files.aside_name(self._path)
        try:
            os.link(self._path, name)
            files.forget_old(self._path)
            self._write_anew(recovered)
        except (OSError, StoreBusy) as error:
            # Reading it once more next time is better than not starting.
            self.abort_rewrite()
            files.remove(name)
            self._say(f"the journal {self._path!r}: {what}; it could not be written anew: {error}")
        else:
            self._say(f"the journal {self._path!r}: {what}; the damaged one is kept as {name!r}")

    @property
    def position(self) -> str:
        """Names exactly this content, MARK-BYTES: a later one has more bytes. Empty: none yet."""
        return "" if self._part is None else self._part.position

    # ------------------------------------------------------------------ append

    def append(self, payloads: Sequence[str]) -> None:
        """Add lines; they are durable when this returns. After StoreBusy none of them counts.

        Raises: StoreBusy, ValueError (a payload with a newline in it, or too long).
        """
        part = self._part
        assert part is not None, "append before start"
        data, number = journal_lines.encode(payloads, part.mark)
        if not data:
            return
        try:
            self._make_sure_of_place(part)
            end = part.length + len(data)
            if end > part.room:
                part.claim(end + AHEAD_BYTES)
            part.must_be_cut = True
            files.write_all(part.fd, data, part.length)
            part.sync()
            part.must_be_cut = False
        except OSError as error:
            try:
                part.cut_back()
            except OSError:
                pass  # tried again before the next append
            raise files.busy("append to the journal", self._path, error) from error
        part.length = end
        part.lines += number
        if self._next is not None:
            self._also(payloads)

    def _make_sure_of_place(self, part: Part) -> None:
        """Make sure that we append to the file that the next start will read. Raises: OSError."""
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            self._put_back(part)
            found = os.stat(self._path, follow_symlinks=False)
        if (found.st_dev, found.st_ino) != part.inode:
            raise StoreBusy(
                f"cannot append to the journal {self._path!r}: another file took its place; put "
                "the old one back, or restart pbs-filter to go on with that one"
            )
        if found.st_size < part.length:
            self._say(f"the journal {self._path!r} was cut short by somebody; it is written anew")
            part.go_on_behind_a_hole()
        if self._names_unsure:
            files.sync_directory(self._path)
            self._names_unsure = False
        if part.must_be_cut:
            part.cut_back()

    def _put_back(self, part: Part) -> None:
        """Somebody removed the file; what was in it is still behind our descriptor."""
        self.abort_rewrite()
        part.put_back(self._path, self._mode, self._gid)
        self._names_unsure = True
        self._say(f"the journal {self._path!r} was removed; it is back")

    def _also(self, payloads: Sequence[str]) -> None:
        """The same lines to the new journal; they become durable with it."""
        assert self._next is not None
        try:
            self._next.add(payloads)
        except OSError as error:
            self.abort_rewrite()
            self._say(f"{files.busy('write', self._path + '.new', error)}")

    # ------------------------------------------------------------------ rewriting

    @property
    def rewriting(self) -> bool:
        """A new journal is being written."""
        return self._next is not None

    def should_rewrite(self, live: int) -> bool:
        """Return whether the journal is worth rewriting, with `live` states to be kept."""
        part = self._part
        assert part is not None
        too_long = part.lines > 2 * live + SPARE_LINES
        return self._next is None and (too_long or part.suspect)

    def is_old(self, now: int) -> bool:
        """Whether it is time to rewrite the journal for its age: see `history`."""
        return self._next is None and history.is_half(self.born_epoch, now, self._history_seconds)

    def birth(self, now: int) -> str:
        """The payload that says that the journal begins now, for its first lines."""
        self.born_epoch = now
        return f"{BORN}\t{now}"

    def begin_rewrite(self) -> None:
        """Start a new journal. Raises: StoreBusy."""
        self.abort_rewrite()
        self._born_before = self.born_epoch
        before = max(self.bytes_known, journal_lines.bytes_at(self.position))
        try:
            self._next = new_part(self._path + ".new", self._mode, self._gid, before)
        except OSError as error:
            raise files.busy("write", self._path + ".new", error) from error

    def rewrite_step(self, payloads: Iterable[str]) -> None:
        """Add live states, as they are now. A few hundred at a time take about a millisecond.

        Raises: StoreBusy (the rewriting is given up, the journal is as it was), ValueError.
        """
        new = self._next
        assert new is not None, "rewrite_step outside a rewriting"
        try:
            new.add(payloads)
            os.fdatasync(new.fd)  # little by little: all of it at the end would take a second
        except OSError as error:
            self.abort_rewrite()
            raise files.busy("write", self._path + ".new", error) from error

    def finish_rewrite(self) -> None:
        """The new journal takes the old one's place. Raises: StoreBusy."""
        new, old = self._next, self._part
        assert new is not None, "finish_rewrite outside a rewriting"
        try:
            os.fsync(new.fd)
            if old is not None:
                old.cut_back()
                keep_old(self._path, self._say, keep=self._history_seconds != 0)
            os.rename(self._path + ".new", self._path)
        except OSError as error:
            self.abort_rewrite()
            raise files.busy("replace the journal", self._path, error) from error
        self._part, self._next = new, None
        new.room = new.length
        self._names_unsure = True
        if old is not None:
            os.close(old.fd)
        try:
            files.sync_directory(self._path)
            self._names_unsure = False
        except OSError as error:  # the next append tries again, and fails while this does
            raise files.busy("make the new name durable of", self._path, error) from error

    def abort_rewrite(self) -> None:
        """Give the new journal up, if one is being written; the old one is complete."""
        if self._next is None:
            return
        os.close(self._next.fd)
        self._next = None
        self.born_epoch = self._born_before
        try:
            files.remove(self._path + ".new")
        except OSError:
            pass  # the next start, or the next rewriting, removes it

    # ------------------------------------------------------------------ end

    def close(self, *, cut: bool = True) -> None:
        """Give room back (`cut`) and close. What was appended is durable already."""
        self.abort_rewrite()
        if self._part is None:
            return
        try:
            if cut:
                self._part.cut_back()
        except OSError:
            pass  # zero bytes at the end mean nothing
        os.close(self._part.fd)
        self._part = None
