"""The journeys that fit into each run of the tests; others of them: `TEST_JOURNEYS`, words as for
`python -m tests.journey`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ..real.daemons.process import wait_for
from ..real.mtas import CLIENT, OTHER_CLIENT
from .journey import Journey, Kind, build, chosen, travel, why_not

STATE = (
    "var/lib/pbs-filter var/lib/pbs-filter-setup etc/pbs-filter.d etc/rsyslog.conf etc/rsyslog.d"
    " etc/postfix"
)
WORDS = os.environ.get("TEST_JOURNEYS", "trixie+rsyslog trixie+syslog-ng")
pytestmark = pytest.mark.skipif(
    bool(why_not()), reason=f"NO MACHINE CAN BE BOOTED HERE, no journey was made: {why_not()}"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package") / "built")


@pytest.fixture
def go(package: Path, tmp_path: Path) -> Callable[[str], Journey]:
    """Begin a journey with rsyslog and Postfix on a machine of a suite."""

    def begin(suite: str) -> Journey:
        directory = tmp_path / suite
        directory.mkdir()
        return Journey(Kind(suite, "rsyslog", "postfix"), package, directory, print)

    return begin


@pytest.mark.parametrize("kind", chosen(WORDS.split()), ids=str)
def test_from_the_installation_to_the_purge(kind: Kind, package: Path, tmp_path: Path) -> None:
    travel(kind, package, tmp_path, print)


def test_a_misspelt_journey_is_named() -> None:
    with pytest.raises(ValueError, match="no journey is named 'debian13'; there are: bookworm"):
        chosen(["trixie", "debian13"])


def test_what_debian_12_left_is_taken_over_by_debian_13(go: Callable[[str], Journey]) -> None:
    """The sandbox of 13's rsyslog lets the filter be no other user, as it is after an upgrade."""
    with go("bookworm") as old:
        old.install()
        old.switch_on()
        old.log_in_and_relay()
        old.machine.shell(f"systemctl stop rsyslog syslog.socket; tar -C / -cf /root/state {STATE}")
        state = shutil.move(old.machine.path / "root/state", old.machine.path.parent / "state")
    with go("trixie") as new:
        new.install()
        new.machine.shell("systemctl stop rsyslog syslog.socket")
        shutil.move(state, new.machine.path / "root/state")
        # By the accounts' names, as they are on both.
        new.machine.shell("tar -C / -xf /root/state")
        new.machine.shell("systemctl start rsyslog && systemctl restart postfix")
        capabilities = new.machine.run(
            "systemctl", "show", "rsyslog", "-P", "CapabilityBoundingSet"
        )
        assert "cap_setuid" not in capabilities
        assert "cap_fowner" not in capabilities
        wait_for(lambda: new.rcpt(CLIENT).startswith("250"), "the login of before the upgrade")
        assert new.rcpt(OTHER_CLIENT)[0] in "45"
        new.log_in(OTHER_CLIENT)
        wait_for(lambda: new.rcpt(OTHER_CLIENT).startswith("250"), "a login on Debian 13")
        new.set_up_again()
        new.doctor()
        assert new.rcpt(CLIENT).startswith("250")
