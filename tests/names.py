"""Bring the lists of names up to date: `python -m tests.names`."""

from __future__ import annotations

from pathlib import Path

from pbs_filter.monitor.prometheus import METRICS
from pbs_filter.monitor.status import FIELDS

EXAMPLES = Path(__file__).parent.parent / "examples"
METRICS_README = EXAMPLES / "grafana" / "README.md"
STATUS = EXAMPLES / "json.md"
BEGIN, END = "<!-- {}:begin -->", "<!-- {}:end -->"


def metrics_table() -> str:
    """A row for each metric."""
    rows = ["| metric | type | label | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        label = f"`{metric.label}`" if metric.label else ""
        rows.append(f"| `{metric.name}` | {metric.kind} | {label} | {metric.about} |")
    return "\n".join(rows)


def status_table() -> str:
    """A row for each name of `--status --json`."""
    rows = ["| name | meaning |", "|---|---|"]
    rows += [f"| `{name}` | {about} |" for name, about in FIELDS.items()]
    return "\n".join(rows)


LISTS = {METRICS_README: ("metrics", metrics_table), STATUS: ("status", status_table)}


def updated(path: Path) -> str:
    """The file's text with today's list in it."""
    name, table = LISTS[path]
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table()}\n{end}{after}"


def main() -> None:
    """Write the files again."""
    for path in LISTS:
        path.write_text(updated(path), encoding="utf-8")


if __name__ == "__main__":
    main()
