"""Binds senders to users, by a file that is read again when it has changed."""

from __future__ import annotations

import os

from ..errors import ConfigError, StoreBusy


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


class Binding:
    """The binding says which senders belong to which user, from lines `USER SENDER...`.

    A sender is an address, `@domain` for every address of a domain, or `<>` for the empty sender.
    The user `*` stands for every user; in a sender, `{user}` is the login name and `{domain}` what
    follows its `@`. Case does not count. `#` begins a comment.
    """

    def __init__(self, text: str, source: str = "the binding") -> None:
        """Read `text`; `source` names it in messages. Raises `ConfigError` with the line."""
        self._senders: dict[str, set[str]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            for sender in words[1:]:
                if "@" not in sender and sender not in ("<>", "{user}"):
                    raise ConfigError(
                        f"{source}, line {number}: {sender!r} is not a sender; "
                        "write user@domain, @domain, <>, or a pattern with {user} or {domain}"
                    )
            if len(words) < 2:
                raise ConfigError(
                    f"{source}, line {number}: {line!r} names no sender; "
                    "write the user and then that user's senders"
                )
            self._senders.setdefault(words[0].lower(), set()).update(w.lower() for w in words[1:])

    def owns(self, user: str, sender: bytes) -> bool:
        """Return whether `user` may send as `sender` (as Postfix gives it: without brackets)."""
        if not user:
            return False
        user = user.lower()
        name = sender.decode("utf-8", "surrogateescape").lower() or "<>"
        local, at, domain = name.rpartition("@")
        if at and not local:
            return False
        names = {name, at + domain}
        if not names.isdisjoint(self._senders.get(user, ())):
            return True
        user_domain = user.rpartition("@")[2] if "@" in user else ""
        return any(
            pattern.replace("{user}", user).replace("{domain}", user_domain) in names
            for pattern in self._senders.get("*", ())
            if user_domain or "{domain}" not in pattern
        )
