"""The page is the report as one HTML file without scripts, fonts and links. Pure.

User names are strangers' text: `_text` leaves only printable characters (so no mark that turns the
direction of writing), escapes them, and isolates their direction (`<bdi>`). The page's content
security policy allows its one style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Iterable
from html import escape

from ..authorisation.authorisations import MANUAL
from ..model import Reason
from ..terminal import moment, safe
from . import plots
from .plots import Series
from .summary import Device, Summary
from .text import sentences

SHOWN = 1000
"""Rows of the table of devices."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --dim: #5a5a5a; --rule: #d0d0d0; --back: #fff;
  --band: #f3f5f7; --c0: #0063a3; --c1: #d98a00; --c2: #008060; --c3: #b5568f; --c4: #4aa3d8;
  --c5: #c44a00; --c6: #8a8a8a; --c7: #5c6b00 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --dim: #a8a8a8; --rule: #4a4a4a;
  --back: #16181b; --band: #22262b; --c0: #5aa9e6; --c1: #f0b040; --c2: #3fc49a; --c3: #e39ac6;
  --c4: #9bd4f5; --c5: #ff8f55; --c6: #9a9a9a; --c7: #c5d64a } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--back);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem }
p { margin: .3rem 0; max-width: 46rem }
.dim { color: var(--dim) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .9rem }
caption { text-align: left; color: var(--dim); padding: .3rem 0; white-space: normal }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; white-space: nowrap }
thead th { border-bottom-width: 2px }
.u { white-space: normal; overflow-wrap: anywhere; min-width: 10rem }
.n { text-align: right }
tbody tr:nth-child(even) { background: var(--band) }
svg { width: 100%; height: auto; display: block; margin-top: .5rem }
.wide > svg { min-width: 36rem; max-width: 54rem }
svg text { font: 12px system-ui, sans-serif; fill: var(--dim) }
svg .value { text-anchor: end }
svg .day { text-anchor: middle }
svg line { stroke: var(--rule); stroke-width: 1 }
.key { list-style: none; padding: 0; margin: .2rem 0; display: flex; flex-wrap: wrap;
  gap: .1rem 1.2rem; font-size: .9rem }
.key li { min-width: 0; overflow-wrap: anywhere }
.key svg { display: inline-block; width: .8rem; height: .8rem; margin: 0 .4rem 0 0 }
details { margin: .4rem 0; font-size: .9rem }
summary { cursor: pointer; color: var(--dim) }
.s0 { fill: var(--c0) } .s1 { fill: var(--c1) } .s2 { fill: var(--c2) } .s3 { fill: var(--c3) }
.s4 { fill: var(--c4) } .s5 { fill: var(--c5) } .s6 { fill: var(--c6) } .s7 { fill: var(--c7) }
@media print { body { max-width: none; padding: 0 } }
"""
_HASH = binascii.b2a_base64(hashlib.sha256(STYLE.encode()).digest(), newline=False).decode()
_TITLE = "Who still depends on POP-before-SMTP"
_ANSWERS = {"yes": "yes, may relay", "no": "no", "not_now": "not now (the map could not be read)"}


def page(summary: Summary, host: str) -> str:
    """Return the page about the filter on `host`."""
    days = list(summary.days)
    period = f"{days[0]} to {days[-1]}" if len(days) > 1 else summary.today
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'sha256-{_HASH}'\">",
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_TITLE}: {_plain(host)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<header>",
        f"<h1>{_TITLE}</h1>",
        f'<p class="dim">{_text(host)}, {period}; made by pbs-filter on {moment(summary.now)}, '
        "times of this host</p>",
        "</header>",
        "<main>",
        *(f"<p>{escape(safe(sentence))}</p>" for sentence in sentences(summary)),
        *_devices(summary),
        *_plots(summary, days),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "".join(f"{part}\n" for part in parts)


def _plain(text: str) -> str:
    return escape(safe(text))


def _text(text: str) -> str:
    return f"<bdi>{_plain(text)}</bdi>"


def _devices(summary: Summary) -> list[str]:
    if not summary.devices:
        return []
    more = len(summary.devices) - SHOWN
    note = f" The newest {SHOWN} of {len(summary.devices)}: --json has all." if more > 0 else ""
    return [
        "<h2>Devices</h2>",
        '<div class="wide" tabindex="0" role="region" aria-label="Devices">',
        "<table>",
        "<caption>The one whose permission was used last comes first. Used: a lookup of the mail "
        "server said yes to the address; who sent cannot be told where several share one."
        f"{note}</caption>",
        "<thead><tr>"
        + "".join(
            f'<th scope="col"{kind}>{name}</th>'
            for name, kind in (
                ("Last used", ""),
                ("Last login", ""),
                ("Logins", ' class="n"'),
                ("Address", ""),
                ("User", ""),
                ("Protocol", ""),
                ("Server", ""),
                ("May relay until", ""),
            )
        )
        + "</tr></thead>",
        "<tbody>",
        *(_row(device, summary.now) for device in summary.devices[:SHOWN]),
        "</tbody>",
        "</table>",
        "</div>",
    ]


def _row(device: Device, now: int) -> str:
    address, user, server, protocol = device.login
    by_hand = server == MANUAL
    until = moment(device.until) if device.until > now else ""
    cells = (
        ("", moment(device.used) if device.used else '<span class="dim">never</span>'),
        ("", moment(device.last)),
        ("n", f"{device.logins:,}"),
        ("u", _plain(address)),
        ("u", _text(user) if user else ""),
        ("", _plain(protocol)),
        ("", "by hand" if by_hand else _plain(server)),
        ("", until),
    )
    return (
        "<tr>"
        + "".join(
            f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>"
            for kind, text in cells
        )
        + "</tr>"
    )


def _plots(summary: Summary, days: list[str]) -> list[str]:
    if not days:
        return []
    last = "The last day has only begun."
    by_reason: dict[str, dict[str, int]] = {}
    answers: dict[str, dict[str, int]] = {name: {} for name in _ANSWERS.values()}
    for name, day in summary.days.items():
        for reason, number in day.reasons.items():
            by_reason.setdefault(_reason(reason), {})[name] = number
        for answer, text in _ANSWERS.items():
            answers[text][name] = day.answers.get(answer, 0)
    return [
        *_plot(
            "Permissions",
            f"The most addresses that could relay at one time, each day. {last}",
            "addresses",
            days,
            [Series("addresses", {name: day.most for name, day in summary.days.items()})],
        ),
        *_plot(
            "Answers to the mail server",
            f"How often lookups said so, each day. {last}",
            "answers a day",
            days,
            [each for each in (Series(*item) for item in answers.items()) if each.total],
        ),
        *_plot(
            "Logins by user",
            f"Logins that gave or renewed a permission, each day. {last}",
            "logins a day",
            days,
            plots.largest(_by(summary.devices, lambda device: device.login.user)),
        ),
        *_plot(
            "Logins by device",
            f"The same by the address that they came from. {last}",
            "logins a day",
            days,
            plots.largest(_by(summary.devices, lambda device: device.login.address)),
        ),
        *_plot(
            "Refusals by reason",
            f"Lines of logins and servers that gave nobody a permission, each day. {last}",
            "lines a day",
            days,
            plots.largest(Series(*item) for item in by_reason.items()),
        ),
    ]


def _reason(name: str) -> str:
    reason = Reason.__members__.get(name.upper())
    return name if reason is None else reason.value


def _by(devices: Iterable[Device], name_of: Callable[[Device], str]) -> list[Series]:
    sums: dict[str, dict[str, int]] = {}
    for device in devices:
        days = sums.setdefault(name_of(device) or "(no name)", {})
        for day, number in device.days.items():
            days[day] = days.get(day, 0) + number
    return [Series(*item) for item in sums.items()]


def _plot(title: str, about: str, unit: str, days: list[str], series: list[Series]) -> list[str]:
    parts = ["<section>", f"<h2>{title}</h2>", f'<p class="dim">{about}</p>']
    if not sum(each.total for each in series):
        return [*parts, "<p>None.</p>", "</section>"]
    drawn = plots.bars(f"{title}: {about}", unit, days, series)
    parts += ['<div class="wide" tabindex="0">', drawn, "</div>"]
    if len(series) > 1:
        parts += ['<ul class="key">', *map(_key, range(len(series)), series), "</ul>"]
    return [*parts, *_table(title, days, series), "</section>"]


def _key(index: int, series: Series) -> str:
    return (
        '<li><svg viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="s{index}" width="10" height="10"/></svg>'
        f"{_text(series.name)} {series.total:,}</li>"
    )


def _table(title: str, days: list[str], series: list[Series]) -> list[str]:
    """Return the numbers of a plot as a table, for people who do not see the plot."""
    heads = "".join(f'<th scope="col" class="n">{_text(each.name)}</th>' for each in series)
    return [
        "<details>",
        f"<summary>{title} as a table</summary>",
        '<div class="wide" tabindex="0">',
        f'<table><thead><tr><th scope="col">Day</th>{heads}</tr></thead><tbody>',
        *(f'<tr><th scope="row">{day}</th>{_numbers(day, series)}</tr>' for day in days),
        "</tbody></table>",
        "</div>",
        "</details>",
    ]


def _numbers(day: str, series: Iterable[Series]) -> str:
    return "".join(f'<td class="n">{each.values.get(day, 0):,}</td>' for each in series)
