-- To be added to /etc/rspamd/rspamd.local.lua: mail from an address that may relay now counts as
-- mail of an authenticated user. rspamd reads the list again by itself when it changes.
local pbs_relay = rspamd_config:add_map({
  url = '/var/lib/pbs-filter/relay.cidr',
  type = 'radix',
  description = 'addresses that may relay now, by pbs-filter',
})

rspamd_config:register_symbol({
  name = 'POP_BEFORE_SMTP',
  type = 'prefilter',
  priority = 10, -- before greylisting and signing ask whether there is a user
  score = 0.0,
  description = 'The client has logged in by POP3 or IMAP',
  callback = function(task)
    local ip = task:get_from_ip()
    if task:get_user() or not (ip and ip:is_valid() and pbs_relay:get_key(ip)) then
      return false
    end
    -- DKIM signing wants a user whose domain is the sender's.
    local sender = (task:get_from('smtp') or {})[1] or {}
    task:set_user(tostring(ip) .. '@' .. (sender.domain or ''))
    return true
  end,
})
