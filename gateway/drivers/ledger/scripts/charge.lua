-- Charges a call that has no hold, once in a day.
-- KEYS: holds, buckets. ARGV: entries kept; {tenant, when the call was (Unix ms, 0: now), buckets}
-- as msgpack, each bucket {meter, slot's width (ms, 0: calendar), expiry as for a reserve}; its id;
-- amounts; the record.
-- Gives {1 charged, 3 it was already, entries written}.
local tenant, at, buckets = unpack(cmsgpack.unpack(ARGV[2]))
local id = ARGV[3]
if at == 0 then at = NOW_MS end
local marker = HOME .. 'c:' .. id
if call('EXISTS', marker) == 1 then return { 3, SEQ } end
-- include holds.lua
-- include roll.lua

local cost = { string.match(ARGV[4], '^(%d+) (%d+) (%d+)$') }
local lines, fresh = {}, {}
for i, spec in ipairs(buckets) do
  local key, meter, width, expires = KEYS[i + 1], unpack(spec)
  local slot, is_fresh = 0
  if width == 0 then
    local had = call('HMGET', key, 'spent', 'held')
    is_fresh = not (had[1] or had[2])
    if is_fresh and expires > 0 and expires <= SECOND then is_fresh = nil end
  else
    local _, _, newest, new = roll(key, width, expires)
    slot, is_fresh = math.min(math.floor(at / width), newest), new
  end
  fresh[i] = is_fresh and { key, width, expires }
  lines[i] = meter .. ' ' .. slot .. ' ' .. key
end
lines = table.concat(lines, '\n')

enter('charged', id, '', tenant, ARGV[4], lines, ARGV[5])
call('SET', marker, '1', 'PXAT', NOW_MS + 86400000)
for i = 1, #buckets do
  if fresh[i] then
    local key, width, expires = unpack(fresh[i])
    call('HSET', key, 'spent', 0, 'held', 0)
    if width > 0 then
      call('HSET', key, 'at', math.floor(NOW_MS / width))
      call('PEXPIREAT', key, NOW_MS + expires)
    elseif expires > 0 then
      call('EXPIREAT', key, expires)
    end
  end
end
add(read(lines), cost)
return { 1, SEQ }
