-- Replaces a hold by what its call did cost, once; the buckets are those the hold names.
-- KEYS: holds. ARGV: for how long (s) to turn the hold away if it arrives only later, 0 not to
-- (a void: a call that was surely never made costs 0); hold id; the cost.
-- Gives 1 settled, 2 an expired hold corrected, 0 no such hold.
local turn_away, id, actual = ARGV[1], ARGV[2], tonumber(ARGV[3])
local record = redis.call('GET', HOLD .. id)
if not record then
  if turn_away ~= '0' then redis.call('SET', HOLD .. id, 'v', 'EX', turn_away) end
  return 0
end
local state, amount, left, buckets = parse(record)
if state == 'v' then return 0 end
if state == 'o' then
  charge(buckets, actual, -tonumber(amount))
  redis.call('ZREM', HOLDS, id)
else
  charge(buckets, actual - tonumber(amount), 0)
end
redis.call('DEL', HOLD .. id)
return state == 'o' and 1 or 2
