"""Whether a filter runs, as those who read its map can see (edge)."""

from __future__ import annotations

import fcntl
import posix


def is_written_by_running_filter(path: str) -> bool:
    """Whether a filter runs, and has written the state of the map at `path` since its start."""
    try:
        descriptor = posix.open(path + ".lock", posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            started = posix.fstat(descriptor).st_mtime_ns
            return posix.stat(path + ".state").st_mtime_ns >= started
        finally:
            posix.close(descriptor)
    except OSError:
        pass  # no filter ever ran here, or it cannot be seen
    return False
