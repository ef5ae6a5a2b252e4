"""The address map in a dict: for `--no-write`, and what the contract measures the others by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


class MemoryMap:
    """An `AddressMap` that nobody else reads and that ends with the process."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}
        self._next: dict[str, bytes] | None = None
        self._clean_of: str | None = None

    def mark_incomplete(self) -> None:
        """Nobody else looks at it."""

    def give_up(self, why: str) -> None:
        """Nobody else looks at it."""

    def write(self, changes: Mapping[str, bytes | None], *, complete: bool = True) -> None:
        """See `AddressMap`."""
        self._clean_of = None
        for entries in (self._entries, self._next):
            if entries is None:
                continue
            for address, value in changes.items():
                if value is None:
                    entries.pop(address, None)
                else:
                    entries[address] = value

    def get(self, address: str) -> bytes | None:
        """See `AddressMap`."""
        return self._entries.get(address)

    def items(self, *, whatever: bool = False) -> Iterator[tuple[str, bytes]]:
        """See `AddressMap`."""
        return iter(list(self._entries.items()))

    def count(self) -> int:
        """See `AddressMap`."""
        return len(self._entries)

    def rebuild(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`."""
        self.begin_rebuild()
        self.rebuild_step(entries)
        self.finish_rebuild()

    def should_rebuild(self, live: int) -> bool:
        """Never: a dict needs no compaction."""
        return False

    def begin_rebuild(self) -> None:
        """See `AddressMap`."""
        self._next = {}

    def rebuild_step(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See `AddressMap`."""
        assert self._next is not None, "rebuild_step outside a rebuild"
        self._next.update(entries)

    def finish_rebuild(self, wait_seconds: float = 0.0) -> bool:
        """See `AddressMap`."""
        assert self._next is not None, "finish_rebuild outside a rebuild"
        self._entries, self._next, self._clean_of = self._next, None, None
        return True

    def abort_rebuild(self) -> None:
        """See `AddressMap`."""
        self._next = None

    def behind(self) -> None:
        """Never."""

    def damaged(self) -> str | None:
        """Never."""
        return None

    def mark_clean(self, of: str) -> None:
        """See `AddressMap`."""
        self._clean_of = of

    def was_clean(self, of: str) -> bool:
        """See `AddressMap`."""
        return self._clean_of == of

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
