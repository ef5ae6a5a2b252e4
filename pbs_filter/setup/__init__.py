"""`pbs-filter --setup`: what to put where on this machine, and doing it. Deciding is pure.

look (edge) -> machine -> rsyslog, syslog_ng, postfix, mtas -> plan -> text; apply (edge) -> record
"""
