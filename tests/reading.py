"""The reader of lines as the filter has it with all servers."""

from pbs_filter.grammar.rules import own_logs_of
from pbs_filter.servers import SERVERS
from pbs_filter.syslog.records import reader

OWN_LOGS = own_logs_of(SERVERS)
read = reader(OWN_LOGS)
