"""The tables of names in the documentation: the metrics, and what --status --json shows."""

from __future__ import annotations

from pbs_filter.monitor.prometheus import METRICS
from pbs_filter.monitor.status import FIELDS


def metrics_table() -> str:
    """Returns a row for each metric."""
    rows = ["| metric | type | label | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        label = ", ".join(f"`{name}`" for name in metric.label.split())
        rows.append(f"| `{metric.name}` | {metric.kind} | {label} | {metric.about} |")
    return "\n".join(rows)


def names_table() -> str:
    """Returns a row for each name of `--status --json`."""
    rows = ["| name | meaning |", "|---|---|"]
    rows += [f"| `{name}` | {about} |" for name, about in FIELDS.items()]
    return "\n".join(rows)
