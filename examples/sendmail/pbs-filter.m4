divert(-1)
# /etc/mail/pbs-filter.m4: asks pbs-lookup, by the socketmap protocol, whether a client may relay.
#
# sendmail.mc includes it in its last line (README.md). Left and right sides of the rules are
# separated by tabs: keep them when you copy.
divert(0)dnl
LOCAL_CONFIG
Kpbs socket -T<TMPF> local:/run/pbs-lookup/socketmap
ifdef(`PBS_SENDERS', `Kpbs_sender socket -T<TMPF> local:/run/pbs-lookup/socketmap')

LOCAL_RULESETS
SLocal_check_rcpt
# A recipient of ours, or a client that may relay anyway: nothing to ask, and a dead pbs-lookup
# keeps nothing waiting. (Both are found again by the rules that follow this ruleset.)
R$*			$: $1 $| $>"Rcpt_ok" $1
R$* $| RELAY		$@ $1
R$* $| $#$*		$@ $1
R$* $| $*		$: $1 $| $>"Relay_ok" $1
R$* $| RELAY		$@ $1
# The blank between address and sender is quoted: without it a sender such as "9 x"@example.org would
# lengthen the address.
ifdef(`PBS_SENDERS',
`R$* $| $*		$: $1 $| $(pbs_sender $&{client_addr}" "$&f $: NOTFOUND $)',
`R$* $| $*		$: $1 $| $(pbs $&{client_addr} $: NOTFOUND $)')
R$* $| $* <TMPF>	$#error $@ 4.3.0 $: "451 Cannot check now whether you may relay, try again later"
R$* $| OK $*		$#OK
R$* $| $*		$: $1
