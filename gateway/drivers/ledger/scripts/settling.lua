-- A part: replaces a hold by what its call did cost, once; the buckets are those the hold names.
-- `keep` is for how long (ms) its id is turned away from now on; `back` gives it back.
-- KEYS: holds. ARGV: entries kept; '[<nano-dollars>,<tokens>,"<hold id>"]' (of the requests, those
-- of the hold count); the record.
-- Gives how many entries were written: it is settled, or an expired hold is corrected, or its time
-- was over already. Of no such hold {0, entries written, the second it is}; a table costs 2 us more
-- than a number.
local nanos, tokens, id = string.match(ARGV[2], '^%[(%d+),(%d+),"(.*)"%]$')
local hold = HOME .. 'h:' .. id
local record = call('GET', hold)
if not record then
  if back then call('SET', hold, 'v', 'PXAT', NOW_MS + keep) end
  return { 0, SEQ, SECOND }
end
-- include holds.lua
local state, amounts, life, tenant, buckets = parse(record)
if not amounts then return SEQ end

local cost = { nanos, tokens, back and '0' or amounts[3] }
local open = state == 'o'
local found = read(buckets)
if open then
  if not back then
    local charged = nanos .. ' ' .. tokens .. ' ' .. amounts[3]
    enter('settled', id, life, tenant, charged, buckets, ARGV[3])
  end
  add(found, cost, amounts)
  call('ZREM', HOLDS, id)
else
  local more = { cost[1] - amounts[1], cost[2] - amounts[2], cost[3] - amounts[3] }
  local charged = string.format('%.0f %.0f %.0f', more[1], more[2], more[3])
  enter('corrected', id, life, tenant, charged, buckets, ARGV[3])
  add(found, more)
end
call('SET', hold, back and 'v' or 's', 'PXAT', NOW_MS + keep)
return SEQ
