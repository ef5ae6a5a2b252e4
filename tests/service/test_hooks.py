"""A site's commands: told what happened, bounded in number and time, never in a line's way."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pbs_filter.config.options import OPTIONS
from pbs_filter.log import Log
from pbs_filter.service.hooks import MAX_RUNNING, MAX_WAITING, Hooks

from ..running import Running, login, wait_for

LET_IN = ("authorised", {"address": "192.0.2.7", "user": "b o$b;", "until": 5})


def hooks(place: Path, script: str, **more: object) -> Hooks:
    program = place / "hook"
    program.write_text(f"#!/bin/sh\ncd {place}\n{script}\n")
    program.chmod(0o755)
    table = {"on": ["authorised"], "command": [str(program), "an argument"], **more}
    return Hooks(OPTIONS["hook"].kind.check([table]), Log(f"{place}/log"))


def until(made: Hooks, condition) -> None:
    wait_for(lambda: (made.tick([]), condition())[1])


def test_a_command_is_told_by_environment_and_by_stdin(tmp_path: Path) -> None:
    made = hooks(tmp_path, 'echo "$PBS_EVENT $PBS_ADDRESS $PBS_USER $1" > told; cat > stdin')
    made.tick([LET_IN, ("ended", {"address": "192.0.2.8"})])
    until(made, lambda: not made._running)
    assert "authorised 192.0.2.7 b o$b; an argument\n" == (tmp_path / "told").read_text()
    assert {"event": "authorised", **LET_IN[1]} == json.loads((tmp_path / "stdin").read_text())


def test_what_fails_and_what_is_not_there_is_told_once(tmp_path: Path) -> None:
    made = hooks(tmp_path, "exit 3")
    made.tick([LET_IN, LET_IN])
    until(made, lambda: not made._running)
    assert 1 == (tmp_path / "log").read_text().count("ended with 3")
    away = hooks(tmp_path, "", command="/nonexistent")
    away.tick([LET_IN])
    assert "[[hook]] '/nonexistent' cannot be started" in (tmp_path / "log").read_text()


def test_one_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path, monkeypatch) -> None:
    from pbs_filter.service import hooks as module

    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    made = hooks(tmp_path, "sleep 600 & echo $! > child; wait")
    made.tick([LET_IN])
    wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    clock[0] = 9.9
    made.tick([])
    assert 1 == len(made._running)
    clock[0] = 10.1
    made.tick([])
    assert [] == made._running
    assert "took longer than 10 seconds" in (tmp_path / "log").read_text()
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not Path(f"/proc/{child}").exists() or b"Z" in _state(child))


def _state(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2][:3]
    except FileNotFoundError:
        return b" Z"


def test_a_flood_is_bounded_and_counted(tmp_path: Path) -> None:
    made = hooks(tmp_path, "exec sleep 600")
    made.tick([LET_IN] * (MAX_RUNNING + MAX_WAITING + 20))
    assert MAX_RUNNING == len(made._running)
    assert MAX_WAITING - MAX_RUNNING == len(made._waiting)
    assert "not run: 24 commands" in (tmp_path / "log").read_text()
    made.stop()
    assert [] == made._running


def test_a_running_filter_runs_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    config = tmp_path / "c.toml"
    config.write_text(
        f'[[hook]]\non = ["authorised", "warning"]\ncommand = "tee -a {tmp_path}/told"\n'
    )
    with Running(tmp_path, f"--config={config}", "--max-addresses-per-user=1") as pipeline:
        pipeline.reply()
        pipeline.ask(login("192.0.2.7"))
        pipeline.ask(login("192.0.2.8"))
        told = tmp_path / "told"
        wait_for(lambda: told.exists() and 2 <= len(told.read_text().splitlines()))
    events = [json.loads(line) for line in told.read_text().splitlines()]
    by_name = {event["event"]: event for event in events}
    assert "192.0.2.7" == by_name["authorised"]["address"]
    assert by_name["warning"]["text"].startswith("bob has 1 address that may relay")
    assert os.stat(told).st_uid == os.geteuid()
