"""The metrics of a running filter, in Prometheus' text format. Pure.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/; names and helps by
https://prometheus.io/docs/practices/naming/. Everything is taken from the values of `status`.
Labels have few values, known beforehand, and each series is there from the start, at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ..model import Reason
from .warnings import KINDS

Values = Mapping[str, Any]
Series = Iterable[tuple[str | tuple[str, ...], int | None]]
"""Label value (empty where the metric has no label; several: one for each) and number (None: not
known)."""
ASKED = (
    ("courier", "relaylock"),
    ("exim", "socketmap"),
    ("opensmtpd", "opensmtpd"),
    ("other", "check"),
    ("postfix", "policy"),
    ("postfix", "socketmap"),
    ("postfix", "trace"),
    ("qmail", "relaylock"),
    ("sendmail", "socketmap"),
)
"""MTAs and the protocols that they speak by our documents: their series are there from the start.
What else is counted (`--mta`) comes with its first answer."""


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    series: Callable[[Values], Series]
    label: str = ""
    """Names, with blanks between them."""


def _one(key: str) -> Callable[[Values], Series]:
    return lambda values: [("", values[key])]


def _lookups(by_mta: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Series:
    """Return the answers of every MTA and protocol that is known beforehand, or was counted."""
    pairs = {(mta, protocol) for mta, protocols in by_mta.items() for protocol in protocols}
    for mta, protocol in sorted(pairs | set(ASKED)):
        numbers = by_mta.get(mta, {}).get(protocol, {})
        for answer in ("yes", "no", "not_now"):
            yield (answer, mta, protocol), numbers.get(answer, 0)


def _is_away(behind: Mapping[str, Any] | None) -> bool:
    """Return whether a map in Redis cannot be reached."""
    return behind is not None and behind["trouble"] != ""


METRICS = (
    Metric(
        "pbs_filter_build_info",
        "gauge",
        "Always 1; the version of the running filter is in the label.",
        lambda values: [(values["version"], 1)],
        "version",
    ),
    Metric(
        "pbs_filter_start_time_seconds",
        "gauge",
        "When the filter was started, in seconds since the epoch.",
        _one("since"),
    ),
    Metric(
        "pbs_filter_written_timestamp_seconds",
        "gauge",
        "When the filter wrote these metrics, in seconds since the epoch: old if it is gone.",
        _one("now"),
    ),
    Metric("pbs_filter_lines_total", "counter", "Lines that were read.", _one("lines")),
    Metric(
        "pbs_filter_logins_total",
        "counter",
        "Logins that authorised an address, by server.",
        lambda values: values["logins"].items(),
        "server",
    ),
    Metric(
        "pbs_filter_logouts_total",
        "counter",
        "Ends of sessions whose login had been seen.",
        _one("logouts"),
    ),
    Metric(
        "pbs_filter_lines_without_effect_total",
        "counter",
        "Lines that authorised nobody, by reason.",
        lambda values: [
            (name, values["reasons"].get(name, {"count": 0})["count"])
            for name in (reason.name.lower() for reason in Reason)
        ],
        "reason",
    ),
    Metric(
        "pbs_filter_lookups_total",
        "counter",
        "Answers that lookups on this host have given, by MTA and protocol.",
        lambda values: _lookups(values["lookups_by_mta"]),
        "answer mta protocol",
    ),
    Metric(
        "pbs_filter_authorised_addresses",
        "gauge",
        "Addresses that may relay.",
        _one("authorised"),
    ),
    Metric(
        "pbs_filter_open_sessions",
        "gauge",
        "Sessions that hold an address.",
        _one("open_sessions"),
    ),
    Metric(
        "pbs_filter_half_sessions",
        "gauge",
        "Connections whose login has not come yet.",
        _one("half_sessions"),
    ),
    Metric(
        "pbs_filter_last_line_timestamp_seconds",
        "gauge",
        "When the last line came, in seconds since the epoch.",
        _one("last_input"),
    ),
    Metric(
        "pbs_filter_lag_seconds",
        "gauge",
        "How long after its stamp the newest line came.",
        _one("lag_seconds"),
    ),
    Metric(
        "pbs_filter_journal_bytes",
        "gauge",
        "Size of the journal.",
        lambda values: [("", values["journal"] and values["journal"]["bytes"])],
    ),
    Metric(
        "pbs_filter_store_trouble",
        "gauge",
        "1 while this part of the store cannot be written, else 0.",
        lambda values: [
            ("journal", int("journal" in values["troubles"])),
            ("map", int("map" in values["troubles"] or _is_away(values["map"]))),
        ],
        "part",
    ),
    Metric(
        "pbs_filter_warnings",
        "gauge",
        "Warnings that --status shows, by kind.",
        lambda values: [
            (kind, sum(warned["kind"] == kind for warned in values["warnings"])) for kind in KINDS
        ],
        "kind",
    ),
)


def text(values: Values, servers: Iterable[str]) -> str:
    """Return the metrics of `values`, which are `status.collect`'s; `servers` are all whose
    lines are read, by name."""
    values = {**values, "logins": {**dict.fromkeys(servers, 0), **values["logins"]}}
    rows = []
    for metric in METRICS:
        series = [(value, number) for value, number in metric.series(values) if number is not None]
        if not series:
            continue
        rows.append(f"# HELP {metric.name} {metric.about}")
        rows.append(f"# TYPE {metric.name} {metric.kind}")
        for value, number in series:
            rows.append(f"{metric.name}{_labels(metric.label, value)} {number}")
    return "".join(f"{row}\n" for row in rows)


def _labels(names: str, value: str | tuple[str, ...]) -> str:
    if not names:
        return ""
    values = (value,) if isinstance(value, str) else value
    pairs = zip(names.split(), map(_escaped, values), strict=True)
    return "{" + ",".join(f'{name}="{text}"' for name, text in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
