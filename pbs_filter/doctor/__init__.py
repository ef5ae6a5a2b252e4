"""`pbs-filter --doctor`: is the way from a log line to the MTA whole? Judging is pure.

probe (edge) tries things, judge and asking say what the outcome means; run (edge) has the order.
"""
