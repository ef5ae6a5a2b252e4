"""--report: who still depends on it, from which device, when last; as text, JSON and a page."""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.authorisation.counters import Login
from pbs_filter.authorisation.ledger import Ledger
from pbs_filter.model import Reason
from pbs_filter.monitor.usage import DAY_SECONDS, Totals, Usage
from pbs_filter.report import page, plots, text
from pbs_filter.report.plots import Series
from pbs_filter.report.summary import JournalLogins, Summary, horizon

NOW = int(datetime(2026, 11, 28, 10, 20).timestamp())
TODAY = "2026-11-28"
YESTERDAY = "2026-11-27"
BOB = Login("192.0.2.7", "bob@example.org", "dovecot", "imap")
SCANNER = Login("192.0.2.8", "scanner", "popa3d", "pop3")
NOTHING = Totals({}, {}, 0)
HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style><svg onload=alert(1)>",
    "a&amp;b]]>--><!--",
    "evil\u202etxt.exe\u2066\u200f",
    "\x00\x1b[2J\x85\u2028",
    "\ud800",
    "javascript:alert(1)",
    "שלום",
)


def usage(**used: int) -> Usage:
    """Two days: the scanner logged in on both, bob on the first."""
    made = Usage(NOW - 2 * DAY_SECONDS, 30)
    answers = {"yes": 3, "no": 2, "not_now": 1} if used else {}
    first = Totals({"refused": 4}, answers, 2)
    yesterday = NOW - DAY_SECONDS
    made.take(yesterday, YESTERDAY, {BOB: 2, SCANNER: 1}, {}, first)
    answers = {name: number + 1 for name, number in answers.items()}
    last = Totals({"refused": 4, "denied_user": 1}, answers, 1)
    made.take(NOW, TODAY, {SCANNER: 5}, {a.replace("_", "."): t for a, t in used.items()}, last)
    return made


def summary(made: Usage | None = None, *payloads: str, since: int = 0) -> Summary:
    journal = JournalLogins(since)
    journal.take(payloads)
    return Summary(made, journal, NOW, TODAY)


def payloads(*logins: tuple[Login, int], forgotten: str = "") -> list[str]:
    """What the ledger writes."""
    ledger = Ledger(grace_seconds=1800, max_session_seconds=0)
    told = []
    for (address, user, server, protocol), at in logins:
        ledger.login(address, user, server, protocol, None, at, at, "the line")
        told += ledger.journal_payloads()
        ledger.journaled()
    ledger.forget(forgotten, NOW)
    return told + ledger.journal_payloads()


# ---------------------------------------------------------------------- the summary


def test_the_device_that_was_used_last_comes_first():
    made = summary(usage(**{"192_0_2_7": NOW - 60, "192_0_2_8": NOW - 900}))
    assert [(BOB, NOW - 60, 2), (SCANNER, NOW - 900, 6)] == [
        (device.login, device.used, device.logins) for device in made.devices
    ]
    assert {"192.0.2.7", "192.0.2.8"} == made.depending()


def test_a_use_before_the_login_was_anothers():
    made = usage(**{"192_0_2_8": NOW - 900})
    newer = SCANNER._replace(user="newer")
    made.take(NOW, TODAY, {newer: 1}, {}, NOTHING)
    uses = {device.login: device.used for device in summary(made).devices}
    assert {BOB: 0, SCANNER: NOW - 900, newer: 0} == uses


def test_a_second_that_the_counting_took_shows_nowhere():
    """The login and its use at 10:19:59, both counted at 10:20:00."""
    made = Usage(NOW - DAY_SECONDS, 30)
    made.take(NOW, TODAY, {BOB: 1}, {BOB.address: NOW - 1}, NOTHING)
    assert [NOW - 1] == [device.used for device in summary(made).devices]
    (device,) = summary(made, *payloads((BOB, NOW - 1))).devices
    assert (NOW - 1, NOW - 1, NOW - 1) == (device.first, device.last, device.used)


def test_the_journal_knows_logins_from_before_and_until_when_each_may_relay():
    told = payloads((BOB, NOW - 5 * DAY_SECONDS), (BOB, NOW - 4 * DAY_SECONDS), (SCANNER, NOW - 60))
    (scanner, bob) = summary(usage(), *told).devices
    assert (NOW - DAY_SECONDS, 6, NOW - 60 + 1800) == (scanner.first, scanner.logins, scanner.until)
    assert (NOW - 5 * DAY_SECONDS, NOW - DAY_SECONDS, 2) == (bob.first, bob.last, bob.logins)
    assert {BOB.address: 0} == {
        device.login.address: device.until
        for device in summary(None, *payloads((BOB, NOW), forgotten=BOB.address)).devices
    }


def test_each_user_of_an_address_is_a_device_and_old_ones_are_not_told():
    alice = BOB._replace(user="alice")
    told = payloads((BOB, NOW - 100), (alice, NOW - 50), (SCANNER, NOW - 900))
    devices = summary(None, *told, since=NOW - 200).devices
    assert [alice, BOB] == [device.login for device in devices]
    assert [1, 1] == [device.logins for device in devices]


@pytest.mark.parametrize(
    "payload",
    ["", "a", "a\tx", "d", "d\ta\tb\tc", "o\t1\t2", "t\t1\t2", "u\t1", "a\t::1" + "\tx" * 8,
     "u\t::1" + "\tx" * 7],
)  # fmt: skip
def test_what_is_no_login_is_passed_over(payload):
    assert [] == summary(None, payload).devices


def test_days_without_anything_are_days():
    made = Usage(NOW - 9 * DAY_SECONDS, 30)
    made.take(NOW - 3 * DAY_SECONDS, "2026-11-25", {BOB: 1}, {}, NOTHING)
    days = summary(made).days
    assert ["2026-11-25", "2026-11-26", YESTERDAY, TODAY] == list(days)
    assert [1, 0, 0, 0] == [day.logins for day in days.values()]
    assert {} == summary(None).days
    made.take(NOW + DAY_SECONDS, "2026-11-29", {}, {}, NOTHING)
    assert TODAY == list(summary(made).days)[-1], "a clock that was set back"


def test_as_json_it_has_devices_and_days():
    told = summary(usage(**{"192_0_2_7": NOW - 60, "2001:db8::9": NOW})).as_object()
    assert {
        "address": "192.0.2.7",
        "user": "bob@example.org",
        "server": "dovecot",
        "protocol": "imap",
        "first_login": NOW - DAY_SECONDS,
        "last_login": NOW - DAY_SECONDS,
        "logins": 2,
        "until": None,
        "last_used": NOW - 60,
        "by_hand": False,
    } == told["devices"][0]
    assert ["2001:db8::9"] == told["used_without_login"]
    assert {
        "day": TODAY,
        "logins": 5,
        "most_authorised": 1,
        "lookups": {"yes": 1, "no": 1, "not_now": 1},
        "refused": {"denied_user": 1},
    } == told["days"][-1]
    assert told["lookups_counted"]
    assert NOW - 30 * DAY_SECONDS == horizon(NOW, 30)


# ---------------------------------------------------------------------- the text


def test_the_text_says_who_depends_on_it():
    said = text.report(summary(usage(**{"192_0_2_7": NOW - 60})))
    assert "2 devices of 2 users logged in from 2 addresses.\n" in said
    assert (
        "1 of these addresses used the permission, the last one on 2026-11-28 10:19:00; "
        "1 did not in the time counted.\n" in said
    )
    assert re.search(r"(?m)^2026-11-28 10:19:00  2026-11-27 10:20:00  2 +192\.0\.2\.7 +bob@", said)
    assert re.search(r"(?m)^- +2026-11-28 10:20:00  6 +192\.0\.2\.8 +scanner +pop3 +popa3d$", said)
    assert "\x1b[" in text.report(summary(usage()), colour=True)


def test_the_text_says_what_cannot_be_known():
    nothing = text.report(summary(None))
    assert "Nobody has logged in.\n" in nothing
    assert "No lookup has been counted" in nothing
    assert "Nothing has been counted yet: this is what the journal knows.\n" in nothing
    assert "No lookup has been counted" in text.report(summary(usage()))
    others = Usage(NOW, 30)
    many = {f"192.0.2.{number}": NOW for number in range(100, 120)}
    others.take(NOW, TODAY, {}, many, Totals({}, {"yes": 20}, 0))
    said = text.report(summary(others))
    assert "0 of these addresses used the permission; 0 did not in the time counted." in said
    assert "192.0.2.119.\n" in said
    others.take(NOW, TODAY, {}, {"192.0.2.99": NOW}, NOTHING)
    assert re.search(r"are not known here: .*, \.\.\.\n", text.report(summary(others)))


# ---------------------------------------------------------------------- the plots


def test_the_axis_begins_at_0_and_has_whole_numbers():
    for highest in range(2000):
        marks = plots.ticks(highest)
        assert 0 == marks[0]
        assert highest <= marks[-1]
        assert 2 <= len(marks) <= 7
        assert 1 == len({b - a for a, b in itertools.pairwise(marks)})


def test_labels_of_the_axis_are_short():
    numbers = (0, 5000, 10_000, 150_000, 1_500_000, 10_000_000, 2_000_000_000)
    expected = ["0", "5,000", "10k", "150k", "1,500k", "10M", "2000M"]
    assert expected == [plots.number_label(number) for number in numbers]


def test_a_bar_is_as_high_as_its_number_and_stands_on_the_one_below():
    series = [Series("bob", {TODAY: 2}), Series("alice", {TODAY: 2, YESTERDAY: 1})]
    svg = ElementTree.fromstring(plots.bars("t", "logins", [YESTERDAY, TODAY], series))
    rects = svg.findall("rect")
    assert ["2026-11-27, alice: 1", "2026-11-28, bob: 2", "2026-11-28, alice: 2"] == [
        rect.findtext("title") for rect in rects
    ]
    one, below, above = (
        {name: float(rect.get(name)) for name in ("x", "y", "width", "height")} for rect in rects
    )
    bottom = plots.HEIGHT - plots.BOTTOM
    assert bottom == pytest.approx(one["y"] + one["height"], abs=0.2)
    assert bottom == pytest.approx(below["y"] + below["height"], abs=0.2)
    assert below["y"] == pytest.approx(above["y"] + above["height"], abs=0.2)
    assert below["height"] == pytest.approx(2 * one["height"], abs=0.2)
    assert (below["x"], below["width"]) == (above["x"], above["width"])
    assert ["27 Nov", "28 Nov"] == [
        each.text for each in svg.findall("text") if each.get("class") == "day"
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 30, 31, 90, 365, 3661])
def test_labels_of_days_have_room_and_the_last_day_has_one(count):
    days = [datetime.fromordinal(700_000 + n).date().isoformat() for n in range(count)]
    svg = ElementTree.fromstring(plots.bars("t", "u", days, [Series("x", {days[0]: 1})]))
    at = [float(each.get("x")) for each in svg.findall("text") if each.get("class") == "day"]
    assert at
    assert all(b - a >= plots.DATE_WIDTH * 0.9 for a, b in itertools.pairwise(at))
    assert at[-1] == pytest.approx(
        plots.WIDTH - plots.RIGHT - (plots.WIDTH - plots.LEFT - plots.RIGHT) / count / 2, abs=0.1
    )


def test_what_there_is_too_much_of_goes_together():
    assert [Series("b", {"d": 2}), Series("a", {"d": 1})] == plots.largest(
        [Series("a", {"d": 1}), Series("nothing", {"d": 0}), Series("b", {"d": 2})]
    )
    many = [Series(f"u{number}", {"d": 100 - number, f"d{number}": 1}) for number in range(20)]
    shown = plots.largest(many)
    assert plots.SERIES + 1 == len(shown)
    assert "14 others" == shown[-1].name
    assert sum(each.total for each in many) == sum(each.total for each in shown)
    seven = plots.largest(many[: plots.SERIES + 1])
    assert "u6" == seven[-1].name, "one alone keeps its name"


# ---------------------------------------------------------------------- the page


class Elements(HTMLParser):
    """What is in a page: elements with their attributes, and texts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag not in ("meta", "line", "rect") or (tag == "rect" and not self.closes_itself()):
            self._open.append(tag)

    def closes_itself(self) -> bool:
        return self.get_starttag_text().endswith("/>")

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_endtag(self, tag):
        assert tag == self._open.pop()

    def handle_data(self, data):
        self.texts.append(data)


def of(user: str) -> str:
    made = usage(**{"192_0_2_7": NOW - 60})
    made.take(NOW, TODAY, {BOB._replace(user=user): 3}, {}, Totals({"x" + user: 1}, {}, 1))
    return page.page(summary(made, *payloads((SCANNER, NOW - 60))), user)


PLAIN = Elements(of("bob"))
TAGS = sorted(set(PLAIN.tags))


@pytest.mark.parametrize("user", HOSTILE)
def test_no_name_becomes_anything_but_text(user):
    content = of(user)
    shown = Elements(content)
    assert PLAIN.tags == shown.tags
    allowed = {"class", "scope", "lang", "name", "content", "charset", "http-equiv", "viewbox",
               "role", "aria-label", "aria-hidden", "tabindex", "x", "y", "x1", "x2", "y1", "y2",
               "width", "height"}  # fmt: skip
    assert {name for name, _ in shown.attributes} <= allowed
    visible = "".join(c if c.isprintable() else "?" for c in user)
    assert visible in shown.texts
    assert content.replace("\n", "").isprintable(), "no mark that turns the direction"
    assert content.encode("utf-8")


@given(st.text(max_size=40))
def test_no_text_at_all_breaks_out(user):
    assert PLAIN.tags == Elements(of(user or "x")).tags


def test_it_needs_nothing_and_its_policy_allows_nothing_but_its_own_style():
    content = of("bob")
    assert not {"script", "link", "img", "iframe", "object", "form", "a", "base"} & set(TAGS)
    assert "url(" not in content
    assert "@import" not in content
    assert not re.search(r"https?:", content)
    policy = dict(PLAIN.attributes)
    assert "content" in policy
    assert re.search(r"default-src &#x27;none&#x27;|default-src 'none'", content)
    assert "unsafe" not in content


def test_tables_have_captions_and_heads_and_plots_have_names():
    content = of("bob")
    assert content.count('<th scope="col"') >= 8
    assert "<caption>" in content
    plotted = re.findall(r'<svg viewBox="0 0 720 \d+" role="img" aria-label="([^"]+)"', content)
    assert 5 == len(plotted)
    assert 5 == content.count("as a table</summary>")
    assert '<html lang="en">' in content
    assert Reason.REFUSED.value in unescape(content)


def test_what_did_not_happen_has_no_plot():
    content = page.page(summary(None), "mx1")
    assert "<table" not in content
    assert "<svg" not in content
    quiet = Usage(NOW, 30)
    quiet.take(NOW, TODAY, {}, {}, NOTHING)
    assert 5 == page.page(summary(quiet), "mx1").count("<p>None.</p>")


def test_a_device_by_hand_and_a_crowd_of_them():
    told = [
        f"a\t198.51.100.{n % 250}\t{NOW + 60}\t{NOW}\t{NOW}\t{NOW}\tmanual\t\tnote {n}\tx"
        for n in range(page.SHOWN + 1)
    ]
    content = page.page(summary(None, *told), "mx1")
    assert "<td>by hand</td>" in content
    assert f"The newest {page.SHOWN} of {page.SHOWN + 1}" in content
    nobody = f"a\t::1\t{NOW - 1}\t0\t{NOW}\t{NOW}\tpopa3d\t\t\tx"
    assert '<td class="u"></td>' in page.page(summary(None, nobody), "mx1")
