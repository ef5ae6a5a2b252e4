"""Forms of line that one server has to itself: declared in its file, found and read by all."""

import re
from datetime import UTC

import pytest

from pbs_filter.grammar import contract
from pbs_filter.grammar.rules import own_logs_of
from pbs_filter.model import Reason, Record
from pbs_filter.servers import SERVERS, zimbra
from pbs_filter.syslog.headers import OwnLog
from pbs_filter.syslog.records import reader
from pbs_filter.syslog.scanner import Scanner
from pbs_filter.syslog.timestamps import Stamps

from ..reading import OWN_LOGS, read

FORMS = [(server, log) for server in SERVERS for log in server.own_logs]
GOOD = OwnLog(program="testd", example="! in bob", start="! ", rest="(?P<message>.*)")


@pytest.mark.parametrize(("server", "log"), FORMS, ids=lambda value: getattr(value, "program", ""))
class TestForm:
    """Each form of each server, by its example."""

    def test_its_example_is_a_record_of_the_server_s_program(self, server, log):
        record = read(log.example.encode())
        assert isinstance(record, Record)
        assert log.program == record.program
        assert log.program in server.programs

    def test_no_other_form_reads_it(self, server, log):
        others = tuple(other for other in OWN_LOGS if other is not log)
        record = reader(others)(log.example.encode())
        assert isinstance(record, Reason) or record.program not in {o.program for o in OWN_LOGS}
        for other in others:
            assert not re.fullmatch(other.start + other.rest, log.example)

    def test_it_is_found_where_its_program_is_claimed(self, server, log):
        line = log.example.encode()
        assert [line] == Scanner([log.program], own_logs=OWN_LOGS).candidates(line + b"\n")
        assert [] == Scanner(["other"], own_logs=OWN_LOGS).candidates(line + b"\n")

    def test_its_stamp_is_read(self, server, log):
        stamps = Stamps(zone=UTC, reference_epoch=1_795_300_000, own_logs=OWN_LOGS)
        epoch = stamps.read(log.example.encode())
        assert epoch is not None
        assert 1_795_165_800 < epoch < 1_795_165_900  # 20 November 2026, 09:11

    def test_it_keeps_the_contract(self, server, log):
        assert [] == [*log.mistakes()]


def test_without_its_declaration_a_form_means_nothing():
    (log, _) = zimbra.SERVER.own_logs
    assert Reason.NOT_A_RECORD == reader()(log.example.encode())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "! ("}, ["'! ((?P<message>.*)'", "missing )", "mend"]),
        ({"start": "(!) "}, ["start '(!) '", "no groups"]),
        ({"start": "(?=!) ?[!é] "}, ["ASCII"]),
        ({"rest": ".*"}, ["rest '.*'", "message"]),
        ({"rest": "(?P<message>.)(?P<user>.*)"}, ["rest", "message"]),
        ({"rest": "(.)(?P<message>.*)"}, ["rest", "name its groups"]),
        ({"example": "in bob"}, ["do not read the example"]),
        ({"program": "otherd"}, ["'otherd'", "programs"]),
    ],
)
def test_what_is_wrong_with_a_form_is_told(changes, words):
    values = {name: getattr(GOOD, name) for name in ("program", "example", "start", "rest")}
    server = type(SERVERS[0])(
        name="test",
        title="",
        versions="",
        programs={"testd": None},
        own_logs=(OwnLog(**values | changes),),
        rules=(),
    )
    told = "; ".join(contract.check(server))
    for word in words:
        assert word in told


def test_the_forms_of_servers_are_those_of_each():
    assert zimbra.SERVER.own_logs == own_logs_of([zimbra.SERVER])
