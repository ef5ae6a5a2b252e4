"""A destination of syslog-ng whose every line pbs-filter answers; loaded by confirmed.conf.

syslog-ng keeps a line, in its disk-buffer, until `send` has returned SUCCESS. So the line that a
killed filter had not stored is sent to the next one. Needs syslog-ng's Python module (Debian:
syslog-ng-mod-python), and nothing else: Python 3.9 or newer.

The conversation is that of rsyslog's omprog: after each line the filter says OK when it has stored
it; a "." means that it is still at work; anything else that it cannot take the line now.
"""

import os
import select
import shlex
import signal
import subprocess
import time

try:
    from syslogng import LogDestination
except ImportError:  # outside of syslog-ng
    LogDestination = object

ANSWER_SECONDS = 10.0
"""A filter that says nothing for so long hangs; it is ended and started again."""
END_SECONDS = 5.0
"""What it gets to bring its store up to date at the end of its input."""


class PbsFilter(LogDestination):
    """One filter, started with the first line and again when it has ended.

    Whatever goes wrong is NOT_CONNECTED: syslog-ng then tries the same line again after
    time-reopen(), for ever. (After ERROR it would drop the line with the fourth try.)
    """

    def init(self, options):
        """Take the options of the python() destination."""
        self.command = shlex.split(options["command"])
        self.logto = options["logto"]
        self.filter = None
        return True

    def open(self):
        """Start the filter, without waiting for it: `send` does."""
        try:
            self.filter = subprocess.Popen(
                [*self.command, "--confirm=lines", "--retry-start", f"--logto={self.logto}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                # What is set for the Python within syslog-ng is not for the filter's.
                env={name: value for name, value in os.environ.items() if name[:6] != "PYTHON"},
                # A stop or a reload tells every process of the service; the end of its input is
                # what ends the filter.
                preexec_fn=_ignore_signals,
            )
            # A write to one that hangs must not wait for ever.
            os.set_blocking(self.filter.stdin.fileno(), False)
        except OSError:
            self.filter = None
            return False
        return True

    def is_opened(self):
        """Tell whether there is a filter."""
        return self.filter is not None

    def send(self, message):
        """Hand one line over and wait for its answer."""
        line = message["line"]
        data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape")
        if self.filter is None:
            return self.NOT_CONNECTED
        try:
            self._write(data)
            answer = self._answer()
            if answer == b"OK":
                return self.SUCCESS
            if not answer:
                self.close()
            # Else the line cannot be taken now, but the filter is well.
        except Exception:  # any: after the fourth one syslog-ng would drop the line
            self.close()
        return self.NOT_CONNECTED

    def close(self):
        """End the filter: by the end of its input, and with SIGKILL if that is of no use."""
        ended, self.filter = self.filter, None
        if ended is None:
            return
        for pipe in (ended.stdin, ended.stdout):
            pipe.close()
        try:
            ended.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            # Not by os.kill(): syslog-ng has given up the right to signal processes of another
            # account (the filter's `user`); a program that it starts has all of root's again.
            subprocess.call(["/bin/sh", "-c", f"kill -s KILL {ended.pid}"])
            ended.wait()

    def deinit(self):
        """End the filter, because syslog-ng stops or is reloaded."""
        self.close()

    def _write(self, data):
        """Hand a line over; one that is longer than the pipe waits for the filter to read it."""
        stdin = self.filter.stdin.fileno()
        while data:
            if not _is_ready(stdin, select.POLLOUT, ANSWER_SECONDS):
                raise TimeoutError
            data = data[os.write(stdin, data) :]

    def _answer(self):
        """The filter's next reply; empty when it has ended, or says nothing for too long."""
        reply = b""
        stdout = self.filter.stdout.fileno()
        silent_since = time.monotonic()
        while not reply.endswith(b"\n"):
            left = silent_since + ANSWER_SECONDS - time.monotonic()
            if left <= 0 or not _is_ready(stdout, select.POLLIN, left):
                return b""
            some = os.read(stdout, 4096)
            if not some:
                return b""
            silent_since = time.monotonic()
            reply = (reply + some).lstrip(b".")
        return reply.rstrip(b"\n")


def _is_ready(descriptor, event, seconds):
    """Wait until that can be done; not by select(), which takes no descriptor above 1,023."""
    poller = select.poll()
    poller.register(descriptor, event)
    return poller.poll(seconds * 1000)


def _ignore_signals():
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o027)
