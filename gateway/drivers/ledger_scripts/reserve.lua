-- Sets amounts aside in every bucket and takes a place in every budget of requests at once, or
-- nothing at all.
-- KEYS: holds, buckets, places. ARGV: entries kept; the plan (msgpack); hold id; amounts; life.
-- The plan: how long a hold lives (ms); the first second of the buckets' periods, and the first one
-- after them; the epoch, or '' where it is not known yet, and a name for a new one; the tenant; the
-- buckets, each {meter, slot's width (ms, 0: calendar), expiry (Unix seconds; rolling: ms to
-- outlive its last use; 0 never), then for each limit its mode (0 hard, 1 soft, 2 shadow), cap, and
-- from where on it is near}; the places, each {the same of each limit}.
-- Gives, each after how many holds expired meanwhile, what that charged, and the entries written:
--   {'held', ..., left, then for each limit that is to be told its number, percent, 1 if first, and
--    what is spent and held of it then}
--   {'again', ..., left, nano-dollars, tokens, requests}: it is held already
--   {'refused', ..., which limit, its rest, the millisecond it is, and when enough has left a
--    rolling window (0: it is none), 1 if first}
--   {'when', ..., the second it is} for buckets of another time
--   {'meet', ..., epoch}, {'lost', ..., epoch} for another life of the data
--   {'void', ..., the hold's state} for an id whose time is over
local ttl, start, stop, epoch, fresh_epoch, tenant, buckets, places =
  unpack(cmsgpack.unpack(ARGV[2]))
local id, asked, life = ARGV[3], ARGV[4], ARGV[5]

if known[1] ~= epoch then
  if epoch ~= '' then return { 'lost', 0, 0, SEQ, known[1] or '' } end
  if not known[1] then redis.call('HSET', STATE, 'epoch', fresh_epoch) end
  return { 'meet', 0, 0, SEQ, known[1] or fresh_epoch }
end

local late, charged = expire(16)

local record = redis.call('GET', HOLD .. id)
if record then
  local state, amounts, left = parse(record)
  if not amounts then return { 'void', late, charged, SEQ, state } end
  return { 'again', late, charged, SEQ, left, unpack(amounts) }
end

if SECOND < start or SECOND >= stop then return { 'when', late, charged, SEQ, SECOND } end

local nanos, tokens, requests = string.match(asked, AMOUNTS)
local amounts = { tonumber(nanos), tonumber(tokens), tonumber(requests) }
local left, number = -1, 0
local found, told = {}, {}

-- Whether a limit was told of already, at this percent or a higher one; if not, now it is.
local function first(bucket, mode, cap, percent)
  local field = 'w' .. string.sub('hsd', mode + 1, mode + 1) .. text(cap)
  if not bucket.meter then
    local key = bucket.key .. ':' .. field
    if tonumber(redis.call('GET', key) or 0) >= percent then return 0 end
    redis.call('SET', key, percent, 'PXAT', soon(3600000))
    return 1
  end
  -- The mark says when it was made, in slots of a rolling bucket.
  local mark, slot = tonumber(redis.call('HGET', bucket.key, field) or 0), bucket.slot
  if mark % 1000 >= percent and slot - math.floor(mark / 1000) <= SLOTS then return 0 end
  redis.call('HSET', bucket.key, field, text(slot * 1000 + percent))
  return 1
end

local function create(bucket)
  if bucket.width > 0 then
    redis.call('HSET', bucket.key, 'spent', 0, 'at', text(bucket.slot))
    redis.call('PEXPIREAT', bucket.key, soon(bucket.expires))
  elseif bucket.expires > 0 then
    redis.call('EXPIREAT', bucket.key, bucket.expires)
  end
end

-- When at the latest enough will have left a rolling bucket's window (ms).
local function resets(bucket, excess)
  local width, slot = bucket.width, bucket.slot
  if width == 0 then return 0 end
  for old = slot - SLOTS, slot do
    if excess <= 0 then return old * width + SLOTS * width end
    excess = excess - tonumber(redis.call('HGET', bucket.key, 's' .. text(old)) or 0)
  end
  return (slot + SLOTS + 1) * width
end

local function refuse(bucket, cap, total, wanted)
  local when = resets(bucket, total - cap)
  local new = first(bucket, 0, cap, 100)
  if bucket.fresh then create(bucket) end
  local rest = math.max(cap - total + wanted, 0)
  return { 'refused', late, charged, SEQ, number, rest, NOW_MS, when, new }
end

-- Looks at a bucket's limits: those that are near or passed are noted, a hard one's refusal given.
local function weigh(bucket, limits, from, total, wanted)
  for i = from, #limits, 3 do
    number = number + 1
    local cap = limits[i + 1]
    if total >= limits[i + 2] then
      local mode = limits[i]
      local over = total > cap and wanted > 0
      if over and mode == 0 then return refuse(bucket, cap, total, wanted) end
      if mode < 2 then
        told[#told + 1] = { number, total, bucket, mode, cap, total >= cap and 100 or 80 }
      elseif over then
        told[#told + 1] = { number, total }
      end
    end
    if bucket.meter == 1 and limits[i] == 0 and (left < 0 or cap - total < left) then
      left = math.max(cap - total, 0)
    end
  end
end

for i, spec in ipairs(buckets) do
  local key, meter, width = KEYS[i + 1], spec[1], spec[2]
  local spent, held, slot, fresh
  if width == 0 then
    local had = redis.call('HMGET', key, 'spent', 'held')
    spent, held, slot, fresh = tonumber(had[1] or 0), tonumber(had[2] or 0), 0, not (had[1] or had[2])
  else
    spent, held, slot, fresh = roll(key, width, spec[3])
  end
  local bucket = {
    key = key, meter = meter, width = width, expires = spec[3], slot = slot, fresh = fresh,
  }
  local wanted = amounts[meter]
  local refusal = weigh(bucket, spec, 4, spent + held + wanted, wanted)
  if refusal then return refusal end
  found[i] = bucket
end

local now = text(NOW_MS)
for i, limits in ipairs(places) do
  local key = KEYS[1 + #buckets + i]
  local since = tonumber(redis.call('ZSCORE', key, life) or 0)
  local wanted = since > NOW_MS and 0 or 1
  local total = redis.call('ZCOUNT', key, '(' .. now, '+inf') + wanted
  local refusal = weigh({ key = key, width = 0 }, limits, 1, total, wanted)
  if refusal then return refusal end
end

local lines = { 'o ' .. asked .. ' ' .. text(left), life, tenant }
for i, bucket in ipairs(found) do
  local key, meter = bucket.key, bucket.meter
  redis.call('HINCRBY', key, 'held', text(amounts[meter]))
  if bucket.fresh then create(bucket) end
  lines[i + 3] = meter .. ' ' .. text(bucket.slot) .. ' ' .. key
end
redis.call('SET', HOLD .. id, table.concat(lines, '\n'))
redis.call('ZADD', HOLDS, soon(ttl), id)

if #places > 0 then
  local list = HOME .. 'l:' .. life
  local taken = redis.call('GET', list) or ''
  for i = 1, #places do
    local key = KEYS[1 + #buckets + i]
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    redis.call('ZADD', key, soon(ttl), life)
    redis.call('PEXPIREAT', key, soon(ttl + 3600000))
    if not string.find(taken, key .. '\n', 1, true) then taken = taken .. key .. '\n' end
  end
  redis.call('SET', list, taken, 'PXAT', soon(ttl))
end

local reply = { 'held', late, charged, SEQ, left }
for _, limit in ipairs(told) do
  local which, total, bucket, mode, cap, percent = unpack(limit)
  reply[#reply + 1] = which
  reply[#reply + 1] = percent or 100
  reply[#reply + 1] = bucket and first(bucket, mode, cap, percent) or 1
  reply[#reply + 1] = total
end
return reply
