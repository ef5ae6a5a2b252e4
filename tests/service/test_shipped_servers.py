"""The kept servers are the shipped ones, and where they do not fit those of the files are taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from pbs_filter.authorisation.ways import ENOUGH
from pbs_filter.grammar import Matcher, Rule, line
from pbs_filter.grammar.kept import KeptRule, server_of, values_of
from pbs_filter.model import Accepted, Ignored
from pbs_filter.servers import SERVERS
from pbs_filter.servers import dovecot as dovecot_file
from pbs_filter.service import shipped_servers
from pbs_filter.service.shipped_servers import (
    KEPT,
    MADE_OF,
    checksums,
    first_line,
    kept,
    shipped,
)
from tests.layers import PACKAGE, imports, modules

LOOKS = """
import sys
from pbs_filter.config.options import Config
from pbs_filter.service.build import servers_of
rule = servers_of(Config())[0].rules[0]
print(type(rule).__name__, "pyparsing" in sys.modules)
"""

NOT_PYTHON = shutil.ignore_patterns("__pycache__")  # of the original's place


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy, to be changed; its directory."""
    shutil.copytree(PACKAGE, tmp_path / "pbs_filter", ignore=NOT_PYTHON)
    return tmp_path / "pbs_filter"


def looked(package: Path) -> str:
    """What a filter of this package has: the kind of its rules, and whether it has pyparsing."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", LOOKS],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


def test_each_field_is_as_in_the_server_s_file():
    found = shipped()
    assert [server.name for server in SERVERS] == [server.name for server in found]
    for server, same in zip(SERVERS, found, strict=True):
        for each in fields(server):
            if each.name != "rules":
                assert getattr(server, each.name) == getattr(same, each.name)
        assert len(server.rules) == len(same.rules)
        for rule, kept_rule in zip(server.rules, same.rules, strict=True):
            assert isinstance(kept_rule, KeptRule)
            # Expression and samples are those of the file, too.
            for each in fields(rule):
                assert getattr(rule, each.name) == getattr(kept_rule, each.name)
            assert rule.reading() == kept_rule.reading()
            if rule.kind is Accepted:
                assert rule.usual() == kept_rule.usual()


def test_what_is_kept_of_a_server_makes_it_again():
    (courier,) = (server for server in SERVERS if server.name == "courier")
    rules = {rule.name: rule for rule in courier.rules}
    values = json.loads(json.dumps(values_of(courier, [courier])))
    made = server_of(values, lambda _server, rule: rules[rule])
    assert (courier.carriage, courier.carriages) == (made.carriage, made.carriages)
    for rule, same in zip(courier.rules, made.rules, strict=True):
        assert rule.expression is same.expression
        assert (rule.reading(), rule.samples) == (same.reading(), same.samples)
        for rival, same_rival in zip(courier.rules, made.rules, strict=True):
            if same.usual() and rival is not rule:
                assert rule.may_share_lines(rival) is same.may_share_lines(same_rival)


def test_the_straight_expressions_are_those_of_the_server_s_file():
    found, matcher, same = 0, Matcher(SERVERS), Matcher(shipped())
    for server, kept_server in zip(SERVERS, same.servers, strict=True):
        for rule, kept_rule in zip(server.rules, kept_server.rules, strict=True):
            for program in server.programs if rule.kind is Accepted else ():
                straight = matcher.straight(program, server, rule)
                kept_straight = same.straight(program, kept_server, kept_rule)
                assert (straight is None) is (kept_straight is None)
                if straight and kept_straight:
                    found += 1
                    texts = [each.in_json.__self__.pattern for each in (straight, kept_straight)]
                    assert texts[0] == texts[1]
                    assert straight[1:] == kept_straight[1:]
    assert found > 50


def test_a_site_s_own_rule_beside_the_kept_ones_is_told_from_its_expression():
    login = Rule("own", Accepted, line("Login: {user} from {address}"), ())
    (dovecot,) = (server for server in shipped() if server.name == "dovecot")
    (kept_rule,) = (rule for rule in dovecot.rules if rule.name == "login")
    (rule,) = (rule for rule in dovecot_file.SERVER.rules if rule.name == "login")
    for own in (login, Rule("text", Ignored, line("imap-login: {text}"), ())):
        assert rule.may_share_lines(own) is kept_rule.may_share_lines(own)
    usual = [each for each in dovecot.rules if each.usual()]
    pairs = [(each, other) for each in usual for other in dovecot.rules if other is not each]
    assert {True, False} == {each.may_share_lines(other) for each, other in pairs}
    assert not login.may_share_lines(kept_rule)
    refused = next(rule for rule in dovecot.rules if rule.kind is not Accepted)
    assert refused.usual() is None


def test_a_filter_reads_logins_without_pyparsing(tmp_path):
    """So many that the straight way is open."""
    stamp = time.strftime("%b %e %H:%M:%S")
    (tmp_path / "log").write_text(
        f"{stamp} mx1 dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, "
        "lip=192.0.2.1, mpid=5, session=<abc>\n" * 3 * ENOUGH
    )
    main = (
        "import sys; from pbs_filter.cli import main; status = main(sys.argv[1:]); "
        "print('pyparsing' in sys.modules); sys.exit(status)"
    )
    with (tmp_path / "log").open() as log:
        done = subprocess.run(
            [sys.executable, "-c", main, "--config=/dev/null", "--confirm=no", "--nowrite",
             f"--dbfile={tmp_path}/map"],
            stdin=log, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (0, "False\n") == (done.returncode, done.stdout), done.stderr
    assert "address=192.0.2.7 user=bob" in done.stderr


def test_a_package_as_it_is_has_the_kept_rules(package):
    assert "KeptRule False" == looked(package)


@pytest.mark.parametrize("name", ["servers/dovecot.py", "grammar/compiler.py"])
def test_a_file_that_was_changed_goes_the_slow_way(package, name):
    with (package / name).open("a") as file:
        file.write("\n")
    assert "Rule True" == looked(package)


def test_a_server_that_was_added_or_taken_away_is_read_or_not(package):
    shutil.copy(package / "servers/popa3d.py", package / "servers/popa3e.py")
    assert "Rule True" == looked(package)
    (package / "servers/popa3e.py").unlink()
    assert "KeptRule False" == looked(package)
    (package / "servers/popa3d.py").unlink()
    assert "Rule True" == looked(package)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made_of": 1}', "\udcff"])
def test_a_kept_file_that_cannot_be_read_is_as_none(package, text):
    (package / KEPT).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert kept(str(package)) is None


def test_a_kept_file_of_another_shape_is_as_none(package):
    path = package / KEPT
    values = json.loads(path.read_text())
    assert kept(str(package)) is not None
    del values["servers"][3]["rules"][0]["session"]
    del values["sum"]
    rest = json.dumps(values)[1:].encode()
    path.write_bytes(first_line(rest) + b"\n" + rest)
    assert kept(str(package)) is None
    path.unlink()
    assert kept(str(package)) is None


def test_a_kept_file_that_nests_without_end_or_that_is_a_pipe_is_as_none(package):
    path = package / KEPT
    rest = b'"made_of": ' + b"[" * 200_000
    path.write_bytes(first_line(rest) + b"\n" + rest)
    assert kept(str(package)) is None
    path.unlink()
    os.mkfifo(path)
    assert kept(str(package)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[0-9]", "[0-8]"),
        ('"pop3"', '"imap"'),
        ('"kind": "Refused"', '"kind": "Accepted"'),
        ('"rules": [\n{', '"rules": [\n"x", {'),
        ('"programs": ', '"programmes": '),
        ('"mixed": "', '"mixed": "('),
        ("]}\n", "]}\n\n"),
    ],
)
def test_a_kept_file_that_was_spoiled_makes_no_other_rules(package, before, after):
    path = package / KEPT
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    assert kept(str(package)) is None


def test_nothing_in_the_package_writes_it(package):
    before = {path: path.stat().st_mtime_ns for path in package.rglob("*") if path.is_file()}
    with (package / "servers/dovecot.py").open("a") as file:
        file.write("\n")
    changed = package / "servers/dovecot.py"
    assert "Rule True" == looked(package)
    after = {path: path.stat().st_mtime_ns for path in package.rglob("*") if path.is_file()}
    assert {changed} == {path for path in after if after[path] != before.get(path)}


def test_all_files_that_decide_what_is_kept_are_looked_at():
    known = modules()
    waiting = ["grammar.compiler", "grammar.kept"]
    waiting += [name for name in known if name.startswith("servers.")]
    found = {"servers"}
    while waiting:
        name = waiting.pop()
        # It only passes on what server files ask for.
        if name not in found | {"grammar"}:
            found.add(name)
            text = known[name].read_text(encoding="utf-8")
            is_package = known[name].name == "__init__.py"
            seen = imports(name, text, is_package=is_package, known=set(known))
            waiting += [each.name for each in seen if each.ours and each.name in known]
            if name.startswith("servers."):
                waiting += ["grammar.rules", "grammar.tokens"]
    found.remove("errors")  # nobody keeps an error
    assert {str(known[name].relative_to(PACKAGE)) for name in found} == set(checksums())
    assert set(MADE_OF) < set(checksums())


def test_the_servers_are_read_once():
    assert shipped() is shipped_servers.shipped()
