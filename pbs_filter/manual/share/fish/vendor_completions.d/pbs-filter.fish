# Made by "python -m pbs_filter.manual": change that, not this.
complete -c pbs-filter -l help -d 'show this help message and exit'
complete -c pbs-filter -l config -d 'the configuration file (default: /etc/pbs-filter.toml)' -r -F
complete -c pbs-filter -l version -d 'print the version'
complete -c pbs-filter -l dumpconfig -d 'print each option\'s value and its source'
complete -c pbs-filter -l list -d 'who may relay, until when, and why; with an address: exit 0 if it may...' -f -a '(pbs-filter --list --plain 2>/dev/null)'
complete -c pbs-filter -l explain -d 'tell what each line of stdin leads to, and why'
complete -c pbs-filter -l check -d 'check the configuration and every grammar'
complete -c pbs-filter -l reprocess -d 'read mail logs (FILE..., plain or .gz; stdin without) by the stamps i...'
complete -c pbs-filter -l forget -d 'end the authorisation of an address' -x -a '(pbs-filter --list --plain 2>/dev/null)'
complete -c pbs-filter -l authorise -d 'authorise an address by hand' -x -a '(pbs-filter --list --plain 2>/dev/null)'
complete -c pbs-filter -l status -d 'what the running filter did so far'
complete -c pbs-filter -l watch -d 'the same on a terminal, live, until q is pressed'
complete -c pbs-filter -l history -d 'when and by whom it was authorised, and by which line, as far as the...' -x -a '(pbs-filter --list --plain 2>/dev/null)'
complete -c pbs-filter -l setup -d 'look at this machine, and print what to put where for its syslog daem...' -x -a 'rsyslog syslog-ng postfix exim sendmail opensmtpd courier qmail'
complete -c pbs-filter -l doctor -d 'check the whole way from a log line to the MTA; exit 0 if all is well...'
complete -c pbs-filter -l all -d '--list: also what has ended and is not yet removed'
complete -c pbs-filter -l json -d '--list, --explain, --check, --status, --history, --doctor, --dumpconf...'
complete -c pbs-filter -l plain -d '--list: addresses only'
complete -c pbs-filter -l color -d '--list, --status, --watch, --history: colours; auto: on a terminal, u...' -x -a 'auto always never'
complete -c pbs-filter -l for -d '--authorise: for how long (default: the grace)' -x
complete -c pbs-filter -l note -d '--authorise: why; --list shows it as the user' -x
complete -c pbs-filter -l apply -d '--setup: do it, after showing the difference'
complete -c pbs-filter -l undo -d '--setup: put back all that --apply did'
complete -c pbs-filter -l retry-start -d 'wait inside and try again when the start fails: for syslog-ng, which...'
complete -c pbs-filter -l journal-cursor -d 'keep in FILE how far systemd\'s journal (journalctl -o json) has been...' -r -F
complete -c pbs-filter -l map -l dbfile -d 'The GDBM map that the MTA\'s lookups read' -x -a 'FILE URL'
complete -c pbs-filter -l local-state -d 'With a map in Redis: the names of this host\'s own files begin with it...' -r -F
complete -c pbs-filter -l redis-name -d 'With a map in Redis: the name of this filter there; no other filter m...' -x
complete -c pbs-filter -l grace-seconds -l grace -d 'How long an address may relay after a login or the end of a session' -x
complete -c pbs-filter -l max-session-seconds -d 'The longest an open session holds its address, should its logout neve...' -x
complete -c pbs-filter -l patience-seconds -d 'How long after the connection the login of a server that writes two l...' -x
complete -c pbs-filter -l local-networks -d 'Networks that may relay anyway: never stored' -x
complete -c pbs-filter -l local-networks-command -d 'A command whose output is added to local_networks at start and on SIG...' -x
complete -c pbs-filter -l proxy-networks -d 'Networks of POP/IMAP proxies and webmail hosts, whose address stands...' -x
complete -c pbs-filter -l deny-networks -d 'Networks that are never authorised, whoever logs in from them' -x
complete -c pbs-filter -l deny-users -d 'Users whose logins never authorise, as the server writes their names' -x
complete -c pbs-filter -l trusted-hosts -d 'Hosts whose lines count when they come over the network (central logg...' -x
complete -c pbs-filter -l require-vouched -l norequire-vouched -l no-require-vouched -d 'Take only lines whose sender the syslog daemon vouches for: the JSON...'
complete -c pbs-filter -l servers -d 'The servers whose lines are read, by name' -x
complete -c pbs-filter -l enable -d 'Rules that are off unless asked for: dovecot-proxy (a login that Dove...' -x
complete -c pbs-filter -l ipv6-prefix -d 'Authorise a whole IPv6 network of this prefix length instead of the o...' -x
complete -c pbs-filter -l max-addresses -d 'The most addresses (and open sessions) at one time; more are refused...' -x
complete -c pbs-filter -l max-pending-sessions -d 'The most connections without a login that are remembered; the oldest...' -x
complete -c pbs-filter -l confirm -d 'Answer each line on stdout (rsyslog\'s confirmMessages)' -x -a 'auto yes lines no'
complete -c pbs-filter -l write -l nowrite -l no-write -d 'Write journal and map'
complete -c pbs-filter -l flock -l noflock -l no-flock -d 'Lock the map with GDBM\'s own lock while it is written'
complete -c pbs-filter -l debug -l nodebug -l no-debug -d 'Log every decision'
complete -c pbs-filter -l logto -d 'The log file; - is stdout (not while confirming), empty is stderr' -x -a 'FILE -'
complete -c pbs-filter -l user -d 'The account to become when started as root' -x
complete -c pbs-filter -l group -d 'The group whose members may read the map' -x
complete -c pbs-filter -l metrics -d 'A file for the textfile collector of Prometheus\' node_exporter, whose...' -x -a 'FILE -'
