-- Sets what buckets have spent; what they hold stays.
-- KEYS: holds, buckets. ARGV: entries kept; 1 to do so while holds are open, else 0; a name for a
-- new epoch, or '', and those it goes on from; the least that entries count from; the buckets as
-- msgpack, each {slot's width (ms, 0: calendar), expiry as for a reserve, slot, spent, slot, ...};
-- which entry of the book is the newest, '' of none, or 'any'.
-- Gives {how many holds are open, or -1 where another entry is the newest, and nothing was set; 0
-- else, entries written}.
local open = call('ZCARD', HOLDS)
if open > 0 and ARGV[2] ~= '1' then return { open, SEQ } end
local newest = call('XREVRANGE', HOME .. 'usage', '+', '-', 'COUNT', 1)[1]
if ARGV[7] ~= 'any' and ARGV[7] ~= (newest and newest[1] or '') then return { -1, SEQ } end

local buckets = cmsgpack.unpack(ARGV[6])
local had = {}
for i = 1, #buckets do had[i] = call('HGET', KEYS[i + 1], 'held') end
for i, spec in ipairs(buckets) do
  local key, width, expires = KEYS[i + 1], spec[1], spec[2]
  if width == 0 then
    call('HSET', key, 'spent', spec[4], 'held', had[i] or 0)
    if expires > 0 then call('EXPIREAT', key, expires) end
  else
    local now, total = math.floor(NOW_MS / width), 0
    for _, field in ipairs(call('HKEYS', key)) do
      if string.match(field, '^s%d+$') then call('HDEL', key, field) end
    end
    for j = 3, #spec, 2 do
      local slot = spec[j] > now + SLOTS and now or spec[j]  -- by a clock that was ahead
      if slot > now - SLOTS - 1 then
        call('HINCRBY', key, 's' .. slot, spec[j + 1])
        total = total + spec[j + 1]
      end
    end
    call('HSET', key, 'spent', total, 'held', had[i] or 0, 'at', now)
    call('PEXPIREAT', key, NOW_MS + expires)
  end
end

SEQ = math.max(SEQ, ARGV[5] + 0)
if SEQ > 0 then call('HSET', STATE, 'seq', SEQ) end
if ARGV[3] ~= '' then
  local before = call('HGET', STATE, 'after') or ''
  call('HSET', STATE, 'epoch', ARGV[3], 'after',
    before .. ' ' .. (known[1] or '') .. ' ' .. ARGV[4])
end
return { 0, SEQ }
