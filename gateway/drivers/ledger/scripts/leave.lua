-- Gives back every place that a life has. KEYS: holds. ARGV: entries kept; life.
local list = HOME .. 'l:' .. ARGV[2]
for key in string.gmatch(call('GET', list) or '', '[^\n]+') do
  call('ZREM', key, ARGV[2])
end
call('DEL', list)
return 1
