-- Goes in front of the other scripts.
--
-- Every key of a tenant has the tag {tenant}, so that one script may touch them all on a cluster:
--   tg:{tenant}:holds                          ZSET  hold id by expiry, Unix ms: the open holds
--   tg:{tenant}:h:<hold id>                    "<state> <amount> <left>\n<bucket>\n<bucket>..."
--   tg:{tenant}:b:<scope>:<account>:<period>   HASH  spent, held: a bucket
-- States: o open, x expired and charged, v given back, its id to be turned away (no amount).
-- `left` is -1 where there is no budget. Amounts are whole nano-dollars below 2^53, which a Lua
-- number counts exactly; they become text by '%.0f' only, since tostring rounds to 14 digits.
--
-- A script that fails half-way is not undone. So each reads all it touches before it writes:
-- a key of a wrong type stops it in time.

local HOLDS = KEYS[1]
local HOLD = string.sub(HOLDS, 1, -6) .. 'h:'

local time = redis.call('TIME')
local SECOND = tonumber(time[1])
local NOW_MS = SECOND * 1000 + math.floor(tonumber(time[2]) / 1000)

-- A hold's record as its state, amount and `left`, then its buckets, one to a line.
local function parse(record)
  return string.match(record, '^(%a) ?(%d*) ?(%-?%d*)\n?(.*)$')
end

-- Adds to what is spent and held in each bucket; one that is no longer kept stays away.
local function charge(buckets, spent, held)
  local changes = {}
  for bucket in string.gmatch(buckets, '[^\n]+') do
    local had = redis.call('HMGET', bucket, 'spent', 'held')
    if had[1] or had[2] then
      changes[#changes + 1] = {
        bucket,
        string.format('%.0f', tonumber(had[1] or 0) + spent),
        string.format('%.0f', tonumber(had[2] or 0) + held),
      }
    end
  end
  for _, change in ipairs(changes) do
    redis.call('HSET', change[1], 'spent', change[2], 'held', change[3])
  end
end

-- Charges in full the holds whose time is over, at most `limit`. They can be corrected for a day.
local function expire(limit)
  local now = string.format('%.0f', NOW_MS)
  local late = redis.call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, limit)
  local total = 0
  for _, id in ipairs(late) do
    local record = redis.call('GET', HOLD .. id)
    local state, amount, left, buckets = parse(record or 'v')
    if state == 'o' then
      charge(buckets, tonumber(amount), -tonumber(amount))
      redis.call('SET', HOLD .. id, 'x' .. string.sub(record, 2), 'EX', 86400)
      total = total + tonumber(amount)
    end
    redis.call('ZREM', HOLDS, id)
  end
  return #late, total
end
