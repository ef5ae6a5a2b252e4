"""Every object that --json prints is as examples/json-schema.json says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pbs_filter.doctor import findings

from .running import Running, login, logout, run, wait_for

SCHEMA = json.loads((Path(__file__).parents[1] / "examples/json-schema.json").read_text("utf-8"))
FORGED = '{"h":"mx1","p":"popa3d","pid":"9","uid":12345,"msg":"Session from 192.0.2.8"}\n'


def check(mode: str, text: bytes) -> Any:
    """The value, after every name in it was found in the schema, and the schema's in it."""
    value = json.loads(text)
    strict = json.loads(json.dumps(SCHEMA["$defs"][mode]))
    jsonschema.validate(value, SCHEMA | {"$ref": f"#/$defs/{mode}"})
    jsonschema.validate(value, closed(strict))
    return value


def closed(schema: Any) -> Any:
    """The schema without room for names that it does not have."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        return {key: closed(value) for key, value in schema.items()}
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("json")
    place.chmod(0o750)
    with Running(place) as pipeline:
        pipeline.reply()
        for line in (
            login("192.0.2.7", session="abc"),
            login("192.0.2.8", user="alice"),
            login("192.0.2.8", user="carol"),
            login("127.0.0.1"),
            logout("abc"),
            FORGED,
            "Nov 20 10:00:00 mx1 popa3d[9]: brand new words\n",
        ):
            pipeline.ask(line)
        wait_for(lambda: {"192.0.2.7", "192.0.2.8"} == pipeline.addresses())
        yield pipeline


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_a_running_filter_tells(filled: Running) -> None:
    assert check("status", filled.mode("--status", "--json").stdout)["forged"]
    history = check("history", filled.mode("--history", "192.0.2.7", "--json").stdout)
    assert 1 == len(history["logins"])
    report = check("report", filled.mode("--report", "--json").stdout)
    assert {"192.0.2.7", "192.0.2.8"} == {device["address"] for device in report["devices"]}
    assert 3 == sum(day["logins"] for day in report["days"])
    assert any("local_network" in day["refused"] for day in report["days"])
    listed = check("list", filled.mode("--list", "--all", "--json").stdout)
    assert {"192.0.2.7", "192.0.2.8"} <= {row["address"] for row in listed}


def test_what_is_told_without_one(tmp_path: Path) -> None:
    lines = login("192.0.2.7") + login("127.0.0.1") + "nonsense\n"
    explained = run("--config=/dev/null", "--explain", "--json", stdin=lines).stdout
    assert 3 == len([check("explain", line) for line in explained.splitlines()])
    assert check("check", run("--config=/dev/null", "--check", "--json").stdout)["ok"]
    told = [findings.ok("map", "is there"), findings.wrong("feed", "is away", "do this")]
    check("doctor", json.dumps(findings.objects(told)).encode())
    config = tmp_path / "c.toml"
    config.write_text('[[export]]\nformat = "cdb"\npath = "/x"\n')
    check("dumpconfig", run(f"--config={config}", "--dumpconfig", "--json").stdout)


def test_a_check_that_fails_says_why_as_json_too(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("nonsense = 1\n")
    done = run(f"--config={config}", "--check", "--json")
    assert 78 == done.returncode
    result = check("check", done.stdout)
    assert (False, []) == (result["ok"], result["servers"])
    assert done.stderr.decode() == f"pbs-filter: {result['error']}\n"
