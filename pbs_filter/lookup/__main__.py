"""`pbs-lookup`: the modes. Every import that not all modes need is late (start-up time)."""

from __future__ import annotations

import os
import sys
import time

from ..errors import ConfigError, PbsFilterError, UsageError
from ..log import LookupLog
from ..map_format.map_clock import MapClock
from .answer import DEFAULT_MAP, NO, NOT_NOW, YES, Guarded, Lookup, ShadowLookup, open_reader
from .counts import MTAS, REDIS_PATH, Counts, mta_of_process
from .options import MODES, USAGE, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .answer import Owns

    T = TypeVar("T")

EXIT_STATUS = {YES: 0, NO: 1, NOT_NOW: 75}


def main(arguments: list[str] | None = None) -> int:
    """Run `pbs-lookup` with `arguments` (without the program's name); returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    log = LookupLog()
    try:
        if not words or words[0] in ("--help", "-h", "help"):
            sys.stdout.write(USAGE)
            return 0 if words else UsageError.exit_status
        mode = words[0]
        if mode in ("--version", "version"):
            from .. import __version__

            sys.stdout.write(f"pbs-lookup {__version__}\n")
            return 0
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}: give one of {', '.join(MODES)}")
        options = Options(mode, words[1:])
        if options.flag("help"):
            sys.stdout.write(MODES[mode])
            return 0
        return _RUN[mode](options, log)
    except PbsFilterError as error:
        log.say(str(error))
        return error.exit_status
    except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return 0  # the peer has gone, or we shall
    except Exception as error:  # a status of 1 would be an answer
        log.say(f"unexpected {error!r}; please report this with the arguments {words}")
        return EXIT_STATUS[NOT_NOW]


def _typed(call: Callable[[], T]) -> T:
    """Return the result of `call`, whose mistakes are those of the command line.

    Raises:
        UsageError: in place of `ConfigError`.
    """
    try:
        return call()
    except ConfigError as error:
        raise UsageError(str(error)) from None


def _lookup(options: Options, log: LookupLog, location: str = DEFAULT_MAP) -> Lookup:
    locations = options.all("map") or [location]
    ShadowLookup.log = log
    lookup = (ShadowLookup if options.flag("shadow") else Lookup)(
        Guarded(_typed(lambda: open_reader(*locations, members=options.text("members"), log=log))),
        ipv6_prefix=options.number("ipv6-prefix", 128, 1, 128),
        owns=_owns(options),
        # The filters behind a map in Redis have clocks of their own.
        now=time.time if "://" in locations[0] else MapClock(locations[0]).now,
    )
    where = REDIS_PATH if "://" in locations[0] else locations[0]
    lookup.counts = Counts(options.text("counts", where), _mta(options))
    return lookup


def _mta(options: Options) -> str:
    mta = options.text("mta")
    if options.flag("mta") and mta not in MTAS:
        raise UsageError(f"--mta={mta!r} is none of {', '.join(MTAS)}")
    return mta


def _owns(options: Options) -> Owns | None:
    path, patterns = options.text("senders"), options.all("sender")
    if path and patterns:
        raise UsageError("give --senders or --sender: a file can hold the patterns, for user *")
    if path:
        from .senders import SendersFile

        return SendersFile(path).owns
    if patterns:
        from .senders import Binding

        return _typed(lambda: Binding(f"* {' '.join(patterns)}", "--sender").owns)
    return None


def _no_arguments(options: Options) -> None:
    if options.arguments:
        raise UsageError(f"unexpected argument {options.arguments[0]!r}; see --help")


def _check(options: Options, log: LookupLog) -> int:
    if len(options.arguments) != 1:
        raise UsageError("check needs one ADDRESS; see --help")
    address = options.arguments[0]
    lookup = _lookup(options, log)
    answer = lookup.ask(address.encode("utf-8", "surrogateescape"))
    lookup.count("check", answer, mta_of_process(os.getppid()))
    lookup.counts.tell()
    if answer == NOT_NOW:
        log.trouble(f"{lookup.trouble} (pbs-filter --doctor looks for the cause)")
    elif options.flag("verbose"):
        sys.stdout.write(f"{address} may{'' if answer == YES else ' not'} relay\n")
    return EXIT_STATUS[answer]


def _socketmap(options: Options, log: LookupLog) -> int:
    from .protocols import socketmap, stdio

    _no_arguments(options)
    lookup = _lookup(options, log)
    stdio.converse(socketmap.Conversation(), lookup, log, mta=mta_of_process(os.getppid()))
    return 0


def _policy(options: Options, log: LookupLog) -> int:
    from .protocols import policy, stdio

    _no_arguments(options)
    trace = options.text("trace")
    if options.flag("trace") and trace not in policy.TRACES:
        raise UsageError(f"--trace={trace!r} is neither 'header' nor 'log'")
    stdio.converse(policy.Conversation(trace), _lookup(options, log), log)
    return 0


def _serve(options: Options, log: LookupLog) -> int:
    from . import serve

    _no_arguments(options)
    lookup = _lookup(options, log)
    return _typed(lambda: serve.run(options, lookup, log))


def _opensmtpd(options: Options, log: LookupLog) -> int:
    from .protocols import opensmtpd_table

    if len(options.arguments) > 1:
        raise UsageError(f"unexpected argument {options.arguments[1]!r}; see --help")
    opensmtpd_table.run(_lookup(options, log, *options.arguments), log)
    return 0


def _relaylock(options: Options, log: LookupLog) -> int:
    from .protocols import relaylock

    if not options.arguments:
        raise UsageError("relaylock needs the SMTP server's PROGRAM; see --help")
    on_trouble = options.text("on-trouble", "refuse")
    if on_trouble not in ("refuse", "continue"):
        raise UsageError(f"--on-trouble={on_trouble!r} is neither 'refuse' nor 'continue'")
    lookup = _lookup(options, log)
    return _typed(
        lambda: relaylock.run(
            options.arguments,
            lookup,
            log,
            refuse=on_trouble == "refuse",
            # Tried out, it changes nothing.
            keep=options.flag("keep") or options.flag("shadow"),
            relayclient=options.text("relayclient"),
        )
    )


_RUN = {
    "check": _check,
    "socketmap": _socketmap,
    "policy": _policy,
    "serve": _serve,
    "opensmtpd": _opensmtpd,
    "relaylock": _relaylock,
}

if __name__ == "__main__":
    sys.exit(main())
