-- Replaces a hold by what its call did cost, once; the buckets are those the hold names.
-- KEYS: holds. ARGV: entries kept; for how long (ms) to turn its id away from now on; 1 to give it
-- back (the call was surely never made, and the reserve may even arrive only later), else 0; hold
-- id; amounts, of which the requests are those of the hold; the record.
-- Gives {1 settled, 2 an expired hold corrected, 3 its time was over already, entries written}, or
-- {0 no such hold, entries written, the second it is}.
local keep, back, id = tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4]
local record = redis.call('GET', HOLD .. id)
if not record then
  if back then redis.call('SET', HOLD .. id, 'v', 'PXAT', soon(keep)) end
  return { 0, SEQ, SECOND }
end
local state, amounts, _, life, tenant, buckets = parse(record)
if not amounts then return { 3, SEQ } end

local nanos, tokens = string.match(ARGV[5], AMOUNTS)
local cost = { tonumber(nanos), tonumber(tokens), back and 0 or amounts[3] }
local open = state == 'o'
local found = read(buckets)
if open then
  if not back then enter('settled', id, life, tenant, cost, buckets, ARGV[6]) end
  add(found, cost, { -amounts[1], -amounts[2], -amounts[3] })
  redis.call('ZREM', HOLDS, id)
else
  cost = { cost[1] - amounts[1], cost[2] - amounts[2], cost[3] - amounts[3] }
  enter('corrected', id, life, tenant, cost, buckets, ARGV[6])
  add(found, cost, { 0, 0, 0 })
end
redis.call('SET', HOLD .. id, back and 'v' or 's', 'PXAT', soon(keep))
return { open and 1 or 2, SEQ }
