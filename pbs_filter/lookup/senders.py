"""The sender binding's file, read again when it has changed."""

from __future__ import annotations

import os

from ..errors import ConfigError, StoreBusy
from .protocols.policy import Binding


class SendersFile:
    """`owns` of the binding in a file, as it is now."""

    def __init__(self, path: str) -> None:
        """Read it a first time; raises `ConfigError` for a line that is wrong."""
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._binding = self._read()

    def owns(self, user: str, sender: bytes) -> bool:
        """See `Binding.owns`. Raises `StoreBusy` or `ConfigError` where the file is unusable."""
        if self._status() != self._stamp:
            self._binding = self._read()
        return self._binding.owns(user, sender)

    def _status(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise StoreBusy(f"senders {self._path}: {error.strerror}") from None
        if status.st_mode & 0o002:
            raise ConfigError(
                f"senders {self._path}: everybody may write to it; chmod o-w {self._path}"
            )
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def _read(self) -> Binding:
        stamp = self._status()
        try:
            with open(self._path, encoding="utf-8") as file:
                text = file.read()
        except OSError as error:
            raise StoreBusy(f"senders {self._path}: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"senders {self._path}: not UTF-8 text") from None
        binding = Binding(text, self._path)
        self._stamp = stamp
        return binding
