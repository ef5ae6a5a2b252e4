"""Does what a person asks for when no filter is running (edge)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .. import privileges
from ..config.options import Config
from . import build, requests
from .storage import Storage, log_of
from .usage_file import UsageFile


def without_feed(
    config: Config, request: dict[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Do what a person asks for when no filter is running: be one for a moment.

    Raises:
        PbsFilterError: the store cannot be used.
    """
    uid = os.getuid()
    privileges.become(config, say)
    pipeline = build.pipeline_of(config, say)
    store = Storage(config, pipeline.state, say, lock_seconds=2)
    try:
        now = store.clock.now()
        answer = requests.handle(pipeline, request | {"uid": uid}, now)
        log = log_of(config)
        if config.logto.startswith("/"):
            log.events(*pipeline.ledger.events.take())
        is_erased = answer.get("erased", False)
        if (answer.get("changed") or is_erased) and store.journal is not None:
            store.journal.append([store.clock.stamp(), *pipeline.state.journal_payloads()])
            store.map.write(pipeline.ledger.map_changes())
        if is_erased and store.journal is not None:
            store.journal.begin_rewrite()
            store.journal.rewrite_step([store.clock.stamp(), store.journal.birth(now)])
            store.journal.rewrite_step(pipeline.state.live_payloads())
            store.journal.finish_rewrite()
            store.erase_history(request | answer)
            usage_file = UsageFile(config.usage, config.group, config.history_days, now, log)
            usage_file.erase(request | answer, now)
            store.map.rebuild(pipeline.state.map_values())
        store.close(clean=True)
    finally:
        store.release()
    return answer
