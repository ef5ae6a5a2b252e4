"""The page of `--report --html` in a real Chromium: quiet, by itself, readable, light and dark."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pbs_filter.report import page

from ..report.test_report import HOSTILE, NOW, SCANNER, TODAY, payloads, summary
from ..report.test_report import usage as made_usage
from .packages import install

PROGRAM = "/usr/bin/chromium-headless-shell"
LIGHT, DARK = 1, 0
MEASURE = """
<script>
const box = e => e.getBoundingClientRect();
const luminance = c => c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = e => {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = (a, b) => {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + .05) / (low + .05);
};
const found = {overlaps: [], outside: [], faint: [], plots: 0, bars: 0, low: []};
for (const plot of document.querySelectorAll("svg[role=img]")) {
  found.plots++;
  const frame = box(plot), texts = [...plot.querySelectorAll("text")];
  texts.forEach((text, i) => {
    const a = box(text);
    if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1
        || a.top < frame.top - 1) found.outside.push(text.textContent);
    for (const other of texts.slice(i + 1)) {
      const b = box(other);
      if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
        found.overlaps.push([text.textContent, other.textContent]);
    }
    if (contrast(getComputedStyle(text).fill, behind(plot)) < 4.5)
      found.faint.push(text.textContent);
  });
  for (const bar of plot.querySelectorAll("rect")) {
    found.bars++;
    if (contrast(getComputedStyle(bar).fill, behind(plot)) < 2.5)
      found.low.push(bar.getAttribute("class"));
  }
}
for (const e of document.querySelectorAll("h1, h2, p, td, th, li, caption, summary"))
  if (contrast(getComputedStyle(e).color, behind(e)) < 4.5) found.faint.push(e.textContent);
const cells = [...document.querySelectorAll("td, th")];
found.spilled = cells.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent);
found.wide = document.documentElement.scrollWidth - innerWidth;
found.back = behind(document.body);
const result = document.createElement("pre");
result.id = "measured";
result.textContent = JSON.stringify(found);
document.body.append(result);
</script>
"""


@pytest.fixture(scope="module", autouse=True)
def _chromium() -> None:
    install("chromium-headless-shell")


@pytest.fixture(scope="module")
def content() -> str:
    """A page with hostile names, 31 days and every plot."""
    made = made_usage(**{"192_0_2_7": NOW - 60, "192_0_2_8": NOW - 4000})
    for number, user in enumerate((*HOSTILE, "a-long-name-" + "x" * 120)):
        login = SCANNER._replace(user=user, address=f"2001:db8:1111:2222:3333:4444:5555:{number}")
        made.take(NOW, TODAY, {login: 1000 * number + 1}, {}, made._before)
    for number in range(1, 31):
        name = f"2026-{10 if number < 3 else 11}-{number + 29 if number < 3 else number - 2:02}"
        day = made.days.setdefault(name, type(made.days[TODAY])())
        day.most, day.reasons = number, {"refused": 123456 * number, "forged": number}
    return page.page(summary(made, *payloads((SCANNER, NOW - 60))), "mx1.example.org")


class Browser:
    """What a headless Chromium made of one page."""

    def __init__(self, path: Path, text: str, *, width: int = 1000, scheme: int = LIGHT) -> None:
        path.write_text(text, encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as proxy:
            self.done = subprocess.run(
                [PROGRAM, "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 f"--user-data-dir={path.parent / 'profile'}", "--hide-scrollbars",
                 f"--window-size={width},1200", f"--blink-settings=preferredColorScheme={scheme}",
                 f"--proxy-server=127.0.0.1:{proxy.getsockname()[1]}", "--enable-logging=stderr",
                 "--timeout=5000", "--dump-dom", path.as_uri()],
                capture_output=True, text=True, check=True, timeout=300,
            )  # fmt: skip
            proxy.setblocking(False)
            try:
                proxy.accept()[0].close()
                self.asked = True
            except BlockingIOError:
                self.asked = False
        self.console = re.findall(r"CONSOLE.*", self.done.stderr)
        self.dom = self.done.stdout


def measured(path: Path, content: str, **options: int) -> dict[str, Any]:
    """What the browser says of the boxes and colours of the page."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", content)
    dom = Browser(path, free.replace("</body>", MEASURE + "</body>"), **options).dom
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-500:]
    return json.loads(unescape(found[1]))


def test_it_is_quiet_asks_nobody_and_runs_nothing(tmp_path: Path, content: str) -> None:
    shown = Browser(tmp_path / "page.html", content)
    assert ([], False) == (shown.console, shown.asked)
    for tag in ("svg", "rect", "td", "bdi", "details"):
        assert content.count(f"<{tag}") == shown.dom.count(f"<{tag}"), tag
    assert not re.search(r"<(script|img|link)\b", shown.dom)


def test_the_test_would_see_a_request_and_the_page_forbids_it(tmp_path: Path, content: str) -> None:
    image = content.replace("</main>", '<img src="http://images.example/x.png"></main>')
    script = image.replace("</main>", "<script>document.title = 1</script></main>")
    shown = Browser(tmp_path / "page.html", script)
    assert 2 == len([line for line in shown.console if "Content Security Policy" in line])
    assert not shown.asked
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", image)
    assert Browser(tmp_path / "page.html", free).asked


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize("width", [1100, 500])
def test_nothing_overlaps_or_sticks_out_and_everything_can_be_read(
    tmp_path: Path, content: str, width: int, scheme: int
) -> None:
    found = measured(tmp_path / "page.html", content, width=width, scheme=scheme)
    assert 5 == found.pop("plots")
    assert 50 < found.pop("bars")
    is_dark = sum(map(int, re.findall(r"\d+", found.pop("back"))[:3])) < 3 * 128
    assert (scheme == DARK) == is_dark
    assert found.pop("wide") <= 0
    assert {"overlaps": [], "outside": [], "faint": [], "low": [], "spilled": []} == found
