"""The tests for every server."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest

from pbs_filter import servers
from pbs_filter.grammar import Matcher, Server
from pbs_filter.model import Accepted, Connected, Ended, Reason, Record, Refused
from pbs_filter.servers import SERVERS

from .host import BOBS, CANARY, MATCHER, Host, read

SAMPLES = [
    pytest.param(sample, id=f"{server.name}-{rule.name}-{number}")
    for server in SERVERS
    for rule in server.rules
    for number, sample in enumerate(rule.samples)
]
REFUSALS = [param for param in SAMPLES if isinstance(param.values[0].observation, Refused)]


@pytest.mark.parametrize("sample", REFUSALS)
def test_a_refusal_that_was_cut_anywhere_is_no_login(sample):
    program, pid, message = sample.parts()
    for length in range(len(message)):
        reading = MATCHER.read(Record(program, message[:length], "mx1", pid))
        assert isinstance(reading, Reason) or not isinstance(reading.observation, Accepted)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_address_outside_a_samples_own_place_is_ever_taken(sample):
    """The canary stands in names, reverse names and agents of the samples, and never gets in."""
    program, pid, message = sample.parts()
    reading = MATCHER.read(Record(program, message, "mx1", pid))
    if not isinstance(reading, Reason) and isinstance(reading.observation, Accepted):
        assert reading.observation.address != CANARY


@pytest.mark.parametrize("joint", ["\n", "\r", "\x00", "\u2028", "\x85", "\v", " ", "#012", "^J"])
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_a_login_behind_a_line_break_in_a_name_is_not_the_lines_own(server, joint):
    """As the user of every login sample: a break in each form it may have, and another login."""
    logins = [
        sample
        for rule in server.rules
        for sample in rule.samples
        if isinstance(sample.observation, Accepted)
        and sample.observation.user
        and sample.observation.user in sample.line
    ]
    for sample in logins:
        program, pid, message = sample.parts()
        user = sample.observation.user
        forged = message.replace(sample.observation.address or BOBS, CANARY)
        text = message.replace(user, f"{user}{joint}{forged}")
        reading = MATCHER.read(Record(program, text, "mx1", pid))
        assert isinstance(reading, Reason) or not isinstance(reading.observation, Accepted)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_all_servers_together_read_a_sample_as_its_own_server_does_alone(server):
    alone = Matcher([server])
    for rule in server.rules:
        if rule.off:
            continue
        for sample in rule.samples:
            program, pid, message = sample.parts()
            own = alone.read(Record(program, message, "mx1", pid))
            if isinstance(own, Reason):
                assert not isinstance(read(program, message, pid), Accepted | Connected | Ended)
            else:
                assert own.observation == read(program, message, pid), sample.line


def test_a_backends_line_with_the_proxys_address_authorises_nobody():
    host = Host(proxy_networks=["192.0.2.7/32"]).logs(
        f"solid-pop3d[81]: user bob authenticated - {BOBS}"
    )
    assert not host.authorised
    assert Reason.PROXY in host.pipeline.counts.reasons


def test_each_file_of_the_folder_declares_a_server_with_a_name_of_its_own():
    """A file without one would be passed over: nothing else lists the servers."""
    names = {info.name for info in pkgutil.iter_modules(servers.__path__)}
    declaring = {
        name
        for name in names
        for value in vars(import_module(f"{servers.__name__}.{name}")).values()
        if isinstance(value, Server)
    }
    assert names == declaring
    assert len(SERVERS) == len({server.name for server in SERVERS}) >= len(names)


@pytest.mark.parametrize("name", [info.name for info in pkgutil.iter_modules(servers.__path__)])
def test_each_file_says_who_prints_its_lines_what_is_a_clients_and_what_ties_them(name):
    module = import_module(f"{servers.__name__}.{name}")
    questions = {"Printed by", "Client's text", "Session", "Travels"}
    answered = set(re.findall(r"(?m)^([A-Z][a-z' ]+?)  +\S", module.__doc__))
    assert set() == questions - answered
