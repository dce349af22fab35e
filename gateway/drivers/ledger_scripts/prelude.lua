-- Goes in front of the other scripts. KEYS[1] is a home's holds, ARGV[1] how many entries its book
-- is to keep. Every key of a home has the tag {home}, so that one script may touch them all on a
-- cluster:
--   tg:{home}:holds      ZSET    hold id by expiry, Unix ms: the open holds
--   tg:{home}:h:<id>     a hold, three lines and more: "<state> <amounts> <left>", life, tenant,
--                        then the buckets it is in, each "<meter> <slot> <key>"; or a mere state
--   tg:{home}:b:<owner>:<scope>:<account>:<meter>:<period>
--                        HASH    a bucket: spent, held, and marks, w<mode><cap>: what was told
--     ...:rolling-<per>  HASH    the same with s<slot>, spent in that slot of time, for the newest,
--                                `at`, and the 24 before; `spent` is their sum
--     ...:at_once:total  ZSET    life by expiry, Unix ms; beside it, a mark is a key of its own
--   tg:{home}:l:<life>   the places that a life has, one key to a line
--   tg:{home}:c:<id>     "1": charged without a hold
--   tg:{home}:state      HASH    epoch (a random name of this data), after (those it goes on from),
--                                seq (how many entries were ever written)
--   tg:{home}:usage      STREAM  the book: an entry for each change of what is spent
-- States: o open, x expired and charged, s settled, v given back, its id to be turned away.
-- Amounts are "<nano-dollars> <tokens> <requests>", the order in which a meter is 1, 2 or 3. Whole
-- numbers below 2^53 are exact in Lua; they become text by '%.0f' only, since tostring rounds to
-- 14 digits. What a bucket counts beyond that is left to HINCRBY. Times are absolute, so that
-- nothing here depends on when exactly a key is gone.
--
-- A script that fails half-way is not undone. So each reads all it touches before it writes: a key
-- of a wrong type stops it in time. The book comes first of what is written, for the same reason.

local HOLDS = KEYS[1]
local HOME = string.sub(HOLDS, 1, -6)
local HOLD, STATE, USAGE = HOME .. 'h:', HOME .. 'state', HOME .. 'usage'
local SLOTS, EXACT = 24, 9007199254740992
local AMOUNTS = '^(%d+) (%d+) (%d+)$'

local time = redis.call('TIME')
local SECOND = tonumber(time[1])
local NOW_MS = SECOND * 1000 + math.floor(tonumber(time[2]) / 1000)

local known = redis.call('HMGET', STATE, 'epoch', 'seq')
local SEQ = tonumber(known[2] or 0)

local function text(number) return string.format('%.0f', number) end
local function soon(ms) return text(NOW_MS + ms) end

-- A hold's state, amounts and `left`, then life, tenant and buckets.
local function parse(record)
  local state, nanos, tokens, requests, left, life, tenant, buckets = string.match(record,
    '^(%a) (%d+) (%d+) (%d+) (%-?%d+)\n([^\n]*)\n([^\n]*)\n?(.*)$')
  if not state then return record end
  return state, { tonumber(nanos), tonumber(tokens), tonumber(requests) }, tonumber(left), life,
    tenant, buckets
end

-- The buckets of a hold as they are; one that is no longer kept stays away.
local function read(buckets)
  local found = {}
  for meter, slot, key in string.gmatch(buckets, '(%d) (%d+) (%S+)') do
    local had
    if slot == '0' then
      had = redis.call('HMGET', key, 'spent', 'held')
    else
      had = redis.call('HMGET', key, 'spent', 'held', 'at')
      -- What has left the window is spent no more.
      had[4] = had[3] and tonumber(slot) > tonumber(had[3]) - SLOTS - 1
    end
    if had[1] or had[2] then found[#found + 1] = { key, tonumber(meter), slot, had } end
  end
  return found
end

-- Adds to what is spent and held in them, by their meters.
local function add(found, spent, held)
  for _, bucket in ipairs(found) do
    local key, meter, slot, had = unpack(bucket)
    local more, less = spent[meter], held[meter]
    if slot ~= '0' then
      if not had[4] then more = 0 end
      if more ~= 0 then redis.call('HINCRBY', key, 's' .. slot, text(more)) end
    end
    local total, rest = tonumber(had[1] or 0) + more, tonumber(had[2] or 0) + less
    if total < EXACT and rest < EXACT then
      redis.call('HSET', key, 'spent', text(total), 'held', text(rest))
    else
      redis.call('HINCRBY', key, 'spent', text(more + 0))
      redis.call('HINCRBY', key, 'held', text(less + 0))  -- + 0: there is a -0, which is no integer
    end
  end
end

-- Writes to the book what is charged to which buckets, and why.
local function enter(kind, id, life, tenant, charged, buckets, record)
  SEQ = SEQ + 1
  local seq = text(SEQ)
  redis.call('XADD', USAGE, 'MAXLEN', '~', ARGV[1], '*', 'seq', seq, 'epoch', known[1] or '',
    'kind', kind, 'id', id, 'life', life, 'tenant', tenant,
    'charged', text(charged[1]) .. ' ' .. text(charged[2]) .. ' ' .. text(charged[3]),
    'buckets', buckets, 'record', record)
  redis.call('HSET', STATE, 'seq', seq)
end

-- Charges in full the holds whose time is over, at most `limit`. They can be corrected for two
-- days: one more than anybody tries to settle.
local function expire(limit)
  local late = redis.call('ZRANGEBYSCORE', HOLDS, '-inf', text(NOW_MS), 'LIMIT', 0, limit)
  local total = 0
  for _, id in ipairs(late) do
    local record = redis.call('GET', HOLD .. id)
    local state, amounts, _, life, tenant, buckets = parse(record or 'v')
    if state == 'o' then
      local found = read(buckets)
      enter('expired', id, life, tenant, amounts, buckets, '')
      add(found, amounts, { -amounts[1], -amounts[2], -amounts[3] })
      redis.call('SET', HOLD .. id, 'x' .. string.sub(record, 2), 'PXAT', soon(172800000))
      total = total + amounts[1]
    end
    redis.call('ZREM', HOLDS, id)
  end
  return #late, total
end

-- What is spent and held in a rolling bucket, after what has left its window is dropped, and the
-- slot it is now. `keep` is for how long it outlives its last use (ms).
local function roll(key, width, keep)
  local now = math.floor(NOW_MS / width)
  local had = redis.call('HMGET', key, 'spent', 'held', 'at')
  local at = tonumber(had[3])
  if not at then return 0, 0, now, true end
  local spent = tonumber(had[1] or 0)
  if now > at then
    local gone = {}
    for slot = at - SLOTS, math.min(at, now - SLOTS - 1) do gone[#gone + 1] = 's' .. text(slot) end
    for _, had in ipairs(redis.call('HMGET', key, unpack(gone))) do
      spent = spent - tonumber(had or 0)
    end
    redis.call('HSET', key, 'spent', text(spent), 'at', text(now))
    redis.call('HDEL', key, unpack(gone))
    redis.call('PEXPIREAT', key, soon(keep))
  end
  return spent, tonumber(had[2] or 0), math.max(now, at), false
end
