# Made by "python -m pbs_filter.manual": change that, not this.
complete -c pbs-lookup -f
complete -c pbs-lookup -n 'not __fish_seen_subcommand_from check socketmap policy serve opensmtpd relaylock' -a check -d 'one question; the exit status is the answer'
complete -c pbs-lookup -n '__fish_seen_subcommand_from check' -l map -d 'the map that pbs-filter writes: a file, or a place in Redis: redis://...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from check' -l ipv6-prefix -d 'ipv6_prefix of pbs-filter\'s configuration (default 128)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from check' -l verbose -d 'say it in words, too'
complete -c pbs-lookup -n '__fish_seen_subcommand_from check' -l help -d 'print this'
complete -c pbs-lookup -n 'not __fish_seen_subcommand_from check socketmap policy serve opensmtpd relaylock' -a socketmap -d 'one conversation on stdin and stdout: Postfix by spawn(8), inetd, systemd'
complete -c pbs-lookup -n '__fish_seen_subcommand_from socketmap' -l map -d 'the map that pbs-filter writes: a file, or a place in Redis: redis://...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from socketmap' -l ipv6-prefix -d 'ipv6_prefix of pbs-filter\'s configuration (default 128)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from socketmap' -l help -d 'print this'
complete -c pbs-lookup -n 'not __fish_seen_subcommand_from check socketmap policy serve opensmtpd relaylock' -a policy -d 'the same, as a Postfix policy service'
complete -c pbs-lookup -n '__fish_seen_subcommand_from policy' -l map -d 'the map that pbs-filter writes: a file, or a place in Redis: redis://...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from policy' -l ipv6-prefix -d 'ipv6_prefix of pbs-filter\'s configuration (default 128)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from policy' -l senders -d 'relay only for senders that belong to the user who logged in last fro...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from policy' -l sender -d 'the same for everybody, without a file: {user}, {user}@example.org or...' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from policy' -l help -d 'print this'
complete -c pbs-lookup -n 'not __fish_seen_subcommand_from check socketmap policy serve opensmtpd relaylock' -a serve -d 'many conversations on sockets: Exim, sendmail, busy Postfix'
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l socketmap -d 'listen there for the socketmap protocol: unix:/PATH or inet:127.0.0.1...' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l policy -d 'listen there for Postfix\'s policy delegation protocol; likewise' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l mode -d 'of the unix sockets (default 0660)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l group -d 'of the unix sockets: the MTA\'s group' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l user -d 'become this user once the sockets are open' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l map -d 'the map that pbs-filter writes: a file, or a place in Redis: redis://...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l ipv6-prefix -d 'ipv6_prefix of pbs-filter\'s configuration (default 128)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l senders -d 'relay only for senders that belong to the user who logged in last fro...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l sender -d 'the same for everybody, without a file: {user}, {user}@example.org or...' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l idle-seconds -d 'close a connection without questions (default 300)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l request-seconds -d 'for a request to arrive, a reply to be taken (default 10)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l max-connections -d 'above it the one that is idle for longest must go (default 1000)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from serve' -l help -d 'print this'
complete -c pbs-lookup -n 'not __fish_seen_subcommand_from check socketmap policy serve opensmtpd relaylock' -a opensmtpd -d 'a table program for OpenSMTPD 7.5 and newer'
complete -c pbs-lookup -n '__fish_seen_subcommand_from opensmtpd' -l map -d 'the map that pbs-filter writes: a file, or a place in Redis: redis://...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from opensmtpd' -l ipv6-prefix -d 'ipv6_prefix of pbs-filter\'s configuration (default 128)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from opensmtpd' -l help -d 'print this'
complete -c pbs-lookup -n 'not __fish_seen_subcommand_from check socketmap policy serve opensmtpd relaylock' -a relaylock -d 'between tcpserver or couriertcpd and the SMTP server'
complete -c pbs-lookup -n '__fish_seen_subcommand_from relaylock' -l on-trouble -d 'where the map cannot be read: refuse (the default) answers 451 and en...' -x -a 'refuse continue'
complete -c pbs-lookup -n '__fish_seen_subcommand_from relaylock' -l keep -d 'leave a RELAYCLIENT that tcpserver\'s own rules have set'
complete -c pbs-lookup -n '__fish_seen_subcommand_from relaylock' -l map -d 'the map that pbs-filter writes: a file, or a place in Redis: redis://...' -r -F
complete -c pbs-lookup -n '__fish_seen_subcommand_from relaylock' -l ipv6-prefix -d 'ipv6_prefix of pbs-filter\'s configuration (default 128)' -x
complete -c pbs-lookup -n '__fish_seen_subcommand_from relaylock' -l help -d 'print this'
