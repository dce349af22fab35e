-- Sets what buckets have spent; what they hold stays.
-- KEYS: holds, buckets. ARGV: entries kept; 1 to do so while holds are open, else 0; a name for a
-- new epoch, or '', and those it goes on from; the least that entries count from; the buckets as
-- msgpack, each {slot's width (ms, 0: calendar), expiry as for a reserve, slot, spent, slot, ...}.
-- Gives {how many holds are open, and nothing was set; 0 else, entries written}.
local open = redis.call('ZCARD', HOLDS)
if open > 0 and ARGV[2] ~= '1' then return { open, SEQ } end

local buckets = cmsgpack.unpack(ARGV[6])
local had = {}
for i = 1, #buckets do had[i] = redis.call('HGET', KEYS[i + 1], 'held') end
for i, spec in ipairs(buckets) do
  local key, width, expires = KEYS[i + 1], spec[1], spec[2]
  if width == 0 then
    redis.call('HSET', key, 'spent', text(spec[4]), 'held', had[i] or 0)
    if expires > 0 then redis.call('EXPIREAT', key, expires) end
  else
    local now, total = math.floor(NOW_MS / width), 0
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.match(field, '^s%d+$') then redis.call('HDEL', key, field) end
    end
    for j = 3, #spec, 2 do
      if spec[j] > now - SLOTS - 1 then
        redis.call('HSET', key, 's' .. text(spec[j]), text(spec[j + 1]))
        total = total + spec[j + 1]
      end
    end
    redis.call('HSET', key, 'spent', text(total), 'held', had[i] or 0, 'at', text(now))
    redis.call('PEXPIREAT', key, soon(expires))
  end
end

SEQ = math.max(SEQ, tonumber(ARGV[5]))
if SEQ > 0 then redis.call('HSET', STATE, 'seq', text(SEQ)) end
if ARGV[3] ~= '' then
  local before = redis.call('HGET', STATE, 'after') or ''
  redis.call('HSET', STATE, 'epoch', ARGV[3], 'after',
    before .. ' ' .. (known[1] or '') .. ' ' .. ARGV[4])
end
return { 0, SEQ }
