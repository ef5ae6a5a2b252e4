"""Hands a person's request to the filter (edge)."""

from __future__ import annotations

from typing import Any

from ..config.options import Config
from ..errors import StoreBusy, UsageError
from ..service import control
from ..service.without_feed import without_feed
from .arguments import complain


def request(
    config: Config, question: dict[str, Any], patience_seconds: float = control.ANSWER_SECONDS
) -> dict[str, Any]:
    """Ask the running filter, or do it in its place where none runs; return the answer.

    Raises:
        UsageError: the request makes no sense.
        StoreBusy: it cannot be done now.
    """
    answer = control.ask(config.control, question, patience_seconds)
    is_alone = answer is None
    if answer is None:
        answer = without_feed(config, question, complain)
    if "error" in answer:
        raise (StoreBusy if answer.get("busy") else UsageError)(str(answer["error"]))
    if is_alone and question["do"] != "revoke":  # which comes after "forget"
        complain(
            f"no filter runs on {config.map!r}: this command did it; where one runs on "
            "another map, name that map's configuration"
        )
    return answer
