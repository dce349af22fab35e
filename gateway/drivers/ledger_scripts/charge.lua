-- Charges a call that has no hold, once in a day.
-- KEYS: holds, buckets. ARGV: entries kept; {tenant, when the call was (Unix ms, 0: now), buckets} as
-- msgpack, each bucket {meter, slot's width (ms, 0: calendar), expiry as for a reserve}; its id;
-- amounts; the record.
-- Gives {1 charged, 3 it was already, entries written}.
local tenant, at, buckets = unpack(cmsgpack.unpack(ARGV[2]))
local id = ARGV[3]
if at == 0 then at = NOW_MS end
local marker = HOME .. 'c:' .. id
if redis.call('EXISTS', marker) == 1 then return { 3, SEQ } end

local nanos, tokens, requests = string.match(ARGV[4], AMOUNTS)
local cost = { tonumber(nanos), tonumber(tokens), tonumber(requests) }
local lines, fresh = {}, {}
for i, spec in ipairs(buckets) do
  local key, meter, width, expires = KEYS[i + 1], unpack(spec)
  local slot, is_fresh = 0
  if width == 0 then
    local had = redis.call('HMGET', key, 'spent', 'held')
    is_fresh = not (had[1] or had[2])
    if is_fresh and expires > 0 and expires <= SECOND then is_fresh = nil end
  else
    local _, _, newest, new = roll(key, width, expires)
    slot, is_fresh = math.min(math.floor(at / width), newest), new
  end
  fresh[i] = is_fresh and { key, width, expires }
  lines[i] = meter .. ' ' .. text(slot) .. ' ' .. key
end
lines = table.concat(lines, '\n')

enter('charged', id, '', tenant, cost, lines, ARGV[5])
redis.call('SET', marker, '1', 'PXAT', soon(86400000))
for i = 1, #buckets do
  if fresh[i] then
    local key, width, expires = unpack(fresh[i])
    redis.call('HSET', key, 'spent', 0, 'held', 0)
    if width > 0 then
      redis.call('HSET', key, 'at', text(math.floor(NOW_MS / width)))
      redis.call('PEXPIREAT', key, soon(expires))
    elseif expires > 0 then
      redis.call('EXPIREAT', key, expires)
    end
  end
end
add(read(lines), cost, { 0, 0, 0 })
return { 1, SEQ }
