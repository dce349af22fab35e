-- Keeps the places that a life still has for longer: one whose time is over may be another's by now.
-- KEYS: holds. ARGV: entries kept; life; for how long (ms).
local list, till = HOME .. 'l:' .. ARGV[2], NOW_MS + ARGV[3]
for key in string.gmatch(call('GET', list) or '', '[^\n]+') do
  if (call('ZSCORE', key, ARGV[2]) or 0) + 0 > NOW_MS then
    call('ZADD', key, till, ARGV[2])
    call('PEXPIREAT', key, till + 3600000)
    call('PEXPIREAT', list, till)
  end
end
return 1
