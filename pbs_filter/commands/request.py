"""Hands a person's request to the filter (edge)."""

from __future__ import annotations

from typing import Any

from ..config.options import Config
from ..errors import UsageError
from ..service import control, storage
from .arguments import complain


def request(config: Config, question: dict[str, Any]) -> dict[str, Any]:
    """Ask the running filter, or do it in its place where none runs; return the answer.

    Raises:
        UsageError: the request makes no sense.
        StoreBusy: it cannot be done now.
    """
    answer = control.ask(config.control, question)
    if answer is None:
        answer = storage.without_feed(config, question, complain)
    if "error" in answer:
        raise UsageError(str(answer["error"]))
    return answer
