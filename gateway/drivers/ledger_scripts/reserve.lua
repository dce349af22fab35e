-- Sets an amount aside in every bucket, or in none.
-- KEYS: holds, buckets.
-- ARGV: how long a hold lives (ms); the first second of the buckets' periods, and the first one
-- after them; a cap and an expiry (Unix seconds, 0 never) for each bucket; hold id; amount.
-- Gives {'held', expired, charged, left, amount}, {'refused', expired, charged, which bucket, its
-- rest}, {'when', expired, charged, the second it is} or {'void', expired, charged}: how many holds
-- expired meanwhile and were charged how much, then the answer.
local id, amount = ARGV[#ARGV - 1], ARGV[#ARGV]
local late, charged = expire(16)

local record = redis.call('GET', HOLD .. id)
if record then
  local state, held, left = parse(record)
  if state == 'v' then return {'void', late, charged} end
  return {'held', late, charged, tonumber(left), tonumber(held)}
end

if SECOND < tonumber(ARGV[2]) or SECOND >= tonumber(ARGV[3]) then
  return {'when', late, charged, SECOND}
end

local wanted, left = tonumber(amount), -1
local fresh = {}
for i = 2, #KEYS do
  local had = redis.call('HMGET', KEYS[i], 'spent', 'held')
  local rest = tonumber(ARGV[2 * i]) - tonumber(had[1] or 0) - tonumber(had[2] or 0)
  if wanted > rest then return {'refused', late, charged, i - 2, rest} end
  if left < 0 or rest - wanted < left then left = rest - wanted end
  fresh[i] = not (had[1] or had[2])
end

local lines = {'o ' .. amount .. ' ' .. string.format('%.0f', left)}
for i = 2, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'held', amount)
  if fresh[i] and ARGV[2 * i + 1] ~= '0' then redis.call('EXPIREAT', KEYS[i], ARGV[2 * i + 1]) end
  lines[i] = KEYS[i]
end
redis.call('SET', HOLD .. id, table.concat(lines, '\n'))
redis.call('ZADD', HOLDS, string.format('%.0f', NOW_MS + tonumber(ARGV[1])), id)
return {'held', late, charged, left, wanted}
