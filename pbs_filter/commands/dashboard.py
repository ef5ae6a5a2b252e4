"""--watch: what a terminal of a given size shows at a given moment. Pure.

The edge (`watch`) tells it what the filter and the map say; `lines` is the picture.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..map_format.entry import Entry
from ..terminal import Line, Span, clip, fit, left, moment, safe, urgency, width
from ..text import counted

KEPT = 500
"""Addresses that are remembered for the picture: more than any terminal is high."""
MINUTE = 60
QUIET = frozenset({"other_program", "ignored", "connected", "ended", "empty"})
"""Reasons that are no refusal: most lines of a mail log tell of no login."""
WARNINGS = 3
CHART_ROWS = 3
TALL = 24
"""From this height on the logins are a chart, below it one row."""
BAR, SHORT_BAR = 16, 6
"""Columns of a bar, the latter on a terminal narrower than `WIDE`."""
WIDE = 76
EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = " ▁▂▃▄▅▆▇█"


class Dashboard:
    """The dashboard has the values of the live view, and draws them.

    Args:
        title: the host and the map, for the first row.
        grace_seconds: how long an address may relay after a login: a whole bar.
        plain: draw with ASCII alone, for terminals that are not UTF-8.
    """

    def __init__(self, title: str, grace_seconds: int, *, plain: bool = False) -> None:
        self.title = title
        self.grace_seconds = grace_seconds
        self.plain = plain
        self._status: Mapping[str, Any] | None = None
        self._away = ""
        self._trouble = ""
        self._samples: deque[tuple[int, int, dict[str, int]]] = deque()
        """Of the last minute: time, lines, lines by reason."""
        self._entries: list[tuple[str, Entry]] = []
        self._number = 0

    # ------------------------------------------------------------------ what is told

    def filter_says(self, values: Mapping[str, Any]) -> None:
        """The filter answered with the values of `status`."""
        if self._status is not None and self._status["since"] != values["since"]:
            self._samples.clear()  # another one, which began to count anew
        self._status = values
        self._away = ""
        counts = {name: item["count"] for name, item in values["reasons"].items()}
        self._samples.append((values["now"], values["lines"], counts))
        while self._samples[0][0] < values["now"] - MINUTE:
            self._samples.popleft()

    def filter_away(self, why: str) -> None:
        """The filter did not answer."""
        self._status = None
        self._away = why
        self._samples.clear()

    def map_says(self, entries: Iterable[tuple[str, Entry]], now: int) -> None:
        """Take all rows of the map. Only the newest are remembered.

        Raises: what `entries` raises; then nothing has changed.
        """
        number = 0

        def living() -> Iterator[tuple[str, Entry]]:
            nonlocal number
            for item in entries:
                if item[1].until > now:
                    number += 1
                    yield item

        newest = heapq.nlargest(KEPT, living(), key=lambda item: (item[1].last, item[0]))
        self._entries, self._number, self._trouble = newest, number, ""

    def map_away(self, why: str) -> None:
        """The map could not be read; what it said last stays."""
        self._trouble = why

    # ------------------------------------------------------------------ the picture

    def lines(self, columns: int, rows: int, now: int) -> list[list[Span]]:
        """Return `rows` lines, none wider than `columns`."""
        head = [*self._head(now), *self._logins(rows)]
        refused = self._refused()
        third = max((rows - len(head)) // 3, 2)
        refused = refused[: min(third, len(refused))]
        room = max(rows - len(head) - len(refused), 0)
        shown = [*head, *self._addresses(columns, room, now), *refused]
        return [clip(line, columns) for line in shown[:rows]]

    def _head(self, now: int) -> list[Line]:
        clock = moment(now)[-8:]
        first = [Span("pbs-filter", "bold"), Span(f"  {self.title}  {clock}  "), _dim("q: quit")]
        if self._status is None:
            told: list[Line] = [[Span(self._away or "asking the filter", "red")]]
        else:
            told = [self._summary(self._status), self._health(self._status)]
            told += [
                [Span(f"! {warned['sentence']}", "yellow")]
                for warned in self._status["warnings"][-WARNINGS:]
            ]
        if self._trouble:
            told.append([Span(self._trouble, "yellow")])
        return [first, *told, []]

    def _summary(self, values: Mapping[str, Any]) -> Line:
        at, lines, _ = self._samples[0]
        seconds = max(values["now"] - at, 1)
        return [
            _dim("running since "),
            Span(moment(values["since"])),
            _dim("  lines "),
            Span(f"{values['lines']:,}"),
            _dim(" per second "),
            Span(f"{(values['lines'] - lines) / seconds:.0f}"),
        ]

    @staticmethod
    def _health(values: Mapping[str, Any]) -> Line:
        last, lag = values["last_input"], values["lag_seconds"]
        ago = "none yet" if last is None else f"{max(values['now'] - last, 0)} s ago"
        behind = "" if lag is None else f", {lag} s late"
        trouble = values["trouble"]
        return [
            _dim("last line "),
            Span(ago + behind),
            _dim("  open sessions "),
            Span(f"{values['open_sessions']:,}"),
            _dim("  store "),
            Span(trouble or "ok", "red" if trouble else "green"),
        ]

    def _logins(self, rows: int) -> list[Line]:
        if self._status is None:
            return []
        counts = self._status["logins_per_minute"]
        said: Line = [
            Span("logins per minute", "bold"),
            Span(f"  now {counts[-1]}, at most {max(counts)} in the last hour"),
        ]
        return [said, *self._chart(counts, CHART_ROWS if rows >= TALL else 1), []]

    def _chart(self, counts: Sequence[int], rows: int) -> list[Line]:
        most = max(*counts, 1)
        heights = [-(-count * rows * 8 // most) for count in counts]
        chart: list[Line] = []
        for row in range(rows - 1, -1, -1):
            levels = [min(max(height - 8 * row, 0), 8) for height in heights]
            text = "".join("#" if self.plain and level else LEVELS[level] for level in levels)
            chart.append([Span(f"  {text}", "cyan")])
        return chart

    def _addresses(self, columns: int, room: int, now: int) -> list[Line]:
        said: Line = [
            Span("may relay", "bold"),
            Span(f"  {counted(self._number, 'address')}, the newest login first"),
        ]
        entries = [item for item in self._entries if item[1].until > now][: max(room - 3, 0)]
        of_address = max([7, *(width(safe(address)) for address, _ in entries)])
        of_server = max([6, *(width(safe(entry.server)) for _, entry in entries)])
        # What is left of a usual terminal is the user's name, which is cut or padded.
        bar = BAR if columns >= WIDE else SHORT_BAR
        of_user = max(columns - of_address - of_server - bar - 33, 8)
        head = (
            f"{'ADDRESS':<{of_address}}  {'LEFT':>7}  {'':<{bar}}  {'LOGIN':>8}  OPEN  "
            f"{'USER':<{of_user}}  {'SERVER':<{of_server}}"
        )
        table: list[Line] = [[_dim(head)]]
        for address, entry in entries:
            seconds = entry.until - now
            style = urgency(seconds) or "green"
            more = f" +{entry.users - 1}" if entry.users else ""
            table.append(
                [
                    Span(f"{fit(address, of_address)}  "),
                    Span(f"{left(seconds):>7}  ", style),
                    *self._bar(seconds, bar, style),
                    Span(f"  {left(max(now - entry.last, 1)):>8}  "),
                    Span(f"{entry.sessions or '-':>4}  ", "cyan" if entry.sessions else "dim"),
                    Span(f"{fit((entry.user or '-') + more, of_user)}  "),
                    Span(entry.server or "-"),
                ]
            )
        shown: list[Line] = [said, *table][:room]
        return [*shown, *[[]] * (room - len(shown))]

    def _bar(self, seconds: int, columns: int, style: str) -> list[Span]:
        eighths = min(-(-seconds * columns * 8 // self.grace_seconds), columns * 8)
        whole, part = divmod(eighths, 8)
        if self.plain:
            return [Span("#" * whole, style), _dim("." * (columns - whole))]
        text = "█" * whole + (EIGHTHS[part] if part else "")
        return [Span(text, style), _dim("░" * (columns - len(text)))]

    def _refused(self) -> list[Line]:
        if self._status is None:
            return []
        before = self._samples[0][2]
        reasons = [
            (item["count"] - before.get(name, 0), item["count"], item["text"])
            for name, item in self._status["reasons"].items()
            if name not in QUIET
        ]
        rows: list[Line] = [
            [
                Span(f"{number:>10,}", ""),
                Span(f"  +{new:<6,}" if new else " " * 9, "yellow"),
                Span(f"  {text}"),
            ]
            for new, number, text in sorted(reasons, reverse=True)
        ]
        said = [Span("refused", "bold"), Span("  since the start, in the last minute, why")]
        return [said, *(rows or [[_dim("         none")]])]


def _dim(text: str) -> Span:
    return Span(text, "dim")
