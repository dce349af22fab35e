-- What is spent and held in each bucket.
-- KEYS: holds, buckets. ARGV: the first second of the buckets' periods, and the first one after.
-- Gives {'balances', expired, charged, spent, held, spent, held, ...} or {'when', expired, charged,
-- the second it is}.
local late, charged = expire(16)
if SECOND < tonumber(ARGV[1]) or SECOND >= tonumber(ARGV[2]) then
  return {'when', late, charged, SECOND}
end
local reply = {'balances', late, charged}
for i = 2, #KEYS do
  local had = redis.call('HMGET', KEYS[i], 'spent', 'held')
  reply[#reply + 1] = tonumber(had[1] or 0)
  reply[#reply + 1] = tonumber(had[2] or 0)
end
return reply
