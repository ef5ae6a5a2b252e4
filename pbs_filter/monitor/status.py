"""Collects the values that a running filter tells of itself. Pure.

The names of the JSON form are stable: `FIELDS` documents each, and `examples/json.md` is made from
it. A name may be added; none changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import __version__
from ..authorisation.pipeline import Pipeline
from .warnings import Warnings

FIELDS = {
    "version": "the version of the running filter",
    "pid": "its process",
    "now": "the filter's clock",
    "since": "when it was started",
    "configuration": "what the files say otherwise than the running filter: restart (names of "
    "options that count when it starts again), reload (those that SIGHUP is enough for), error "
    "(why the files cannot be read; null: they can)",
    "last_input": "when the last lines came; null: none yet",
    "newest_stamp": "the stamp of the newest line; null: it has none",
    "lag_seconds": "how long after its stamp that line came; null: unknown",
    "lines": "lines that were read",
    "logins": "logins that authorised: number by server",
    "logins_per_minute": "the same by the minute, the last hour, oldest first; the last minute has "
    "only begun",
    "logouts": "ends of sessions whose login had been seen",
    "reasons": "lines that authorised nobody, by reason: count, text, the newest example",
    "unread": "lines of known programs that no rule reads, by program: count, the newest example",
    "forged": "lines whose sender's uid may not write them: uid, program, count",
    "crowded": "addresses that several users logged in from, each with some of their names",
    "warnings": "what an operator should hear of: kind, since, sentence, todo",
    "authorised": "addresses that may relay",
    "open_sessions": "sessions that hold an address",
    "half_sessions": "connections whose login has not come yet",
    "trouble": "what is wrong with the store; null: nothing",
    "troubles": "the same by part of the store, journal or map",
    "map": "what a map in Redis has not taken yet: waiting (addresses; null: all), away_since, "
    "trouble; null: it has everything",
    "members": "the filters that share a map in Redis: name, last_sign, silent_seconds, "
    "awaited_until (lookups say not now so long if it stays silent; null: it is retired)",
    "journal": "the journal: position (file and length) and bytes; null: nothing is written",
    "lookups": "answers that lookups on this host have given, by protocol: yes, no, not_now",
    "lookups_by_mta": "the same by MTA, then by protocol",
}
"""Times are whole seconds since the epoch, durations seconds."""


class Run(NamedTuple):
    """The values that the feed knows and the filter does not. Times are seconds since the epoch."""

    pid: int
    since: int
    last_input: int
    """0: none yet."""
    troubles: Mapping[str, str]
    """What is wrong, by part of the store."""
    journal: str | None
    """`Journal.position`; None: there is no journal."""
    behind: Mapping[str, Any] | None
    """The fields of `store.Behind`."""
    lookups: Mapping[str, Mapping[str, Mapping[str, int]]] = {}
    """MTA to protocol to answer to number."""
    members: Sequence[Mapping[str, Any]] = ()
    """The filters that share the map."""
    configuration: Mapping[str, Any] = {}
    """What `service.reload.Reload.stale` found."""


def collect(pipeline: Pipeline, warnings: Warnings, run: Run, now: int) -> dict[str, Any]:
    """Return the values of `FIELDS`."""
    counts = pipeline.counts
    newest = warnings.newest
    return {
        "version": __version__,
        "pid": run.pid,
        "now": now,
        "since": run.since,
        "configuration": {"restart": [], "reload": [], "error": None, **run.configuration},
        "last_input": run.last_input or None,
        "newest_stamp": None if newest is None else int(newest.epoch),
        "lag_seconds": warnings.lag_seconds,
        "lines": counts.lines,
        "logins": dict(counts.logins),
        "logins_per_minute": warnings.logins.counts(),
        "logouts": counts.logouts,
        "reasons": {
            reason.name.lower(): {
                "count": number,
                "text": reason.value,
                "example": counts.examples.get(reason, b"").decode("utf-8", "backslashreplace"),
            }
            for reason, number in sorted(
                counts.by_reason().items(), key=lambda item: item[1], reverse=True
            )
        },
        "unread": {
            program: {"count": number, "example": counts.unread_examples[program]}
            for program, number in counts.unread.items()
        },
        "forged": [
            {"uid": uid, "program": program, "count": number}
            for (uid, program), number in counts.forged.items()
        ],
        "crowded": {address: sorted(users) for address, users in pipeline.noticed.crowded.items()},
        "warnings": [warned._asdict() for warned in warnings.warned.values()],
        "authorised": len(pipeline.ledger.authorisations),
        "open_sessions": len(pipeline.ledger.sessions),
        "half_sessions": len(pipeline.correlator.pending),
        "trouble": "; ".join(run.troubles.values()) or None,
        "troubles": dict(run.troubles),
        "map": run.behind,
        "members": list(run.members),
        "journal": None
        if run.journal is None
        else {"position": run.journal, "bytes": int(run.journal.rpartition("-")[2])},
        "lookups": _by_protocol(run.lookups),
        "lookups_by_mta": {
            mta: {protocol: dict(numbers) for protocol, numbers in protocols.items()}
            for mta, protocols in run.lookups.items()
        },
    }


def _by_protocol(
    lookups: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for protocols in lookups.values():
        for protocol, numbers in protocols.items():
            known = sums.setdefault(protocol, {})
            for answer, number in numbers.items():
                known[answer] = known.get(answer, 0) + number
    return sums
