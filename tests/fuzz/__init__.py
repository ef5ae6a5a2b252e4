"""Attack texts in every field that a client can choose: no crash, no canary, no slow line.

    python -m tests.fuzz --seconds 60 --server dovecot

What may come out of a line is decided by what the daemon wrote, never by what a client sent. So
every line here is a server's own (a sample, or one of Postfix, Exim, sendmail or sshd), with one
field replaced by an attack; the only address an attack names is the canary, which no line of ours
may ever connect, log in or authorise.
"""
