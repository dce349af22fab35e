-- Replaces a hold by what its call did cost, once; the buckets are those the hold names.
-- KEYS: holds. ARGV: for how long (s) to turn its id away from now on, 0 not to (a void: the call
-- was surely never made, and the reserve may even arrive only later); hold id; the cost.
-- Gives 1 settled, 2 an expired hold corrected, 0 no such hold.
local turn_away, id, actual = ARGV[1], ARGV[2], tonumber(ARGV[3])
local record = redis.call('GET', HOLD .. id)
local state, amount, left, buckets = parse(record or 'v')
if state == 'o' then
  charge(buckets, actual, -tonumber(amount))
  redis.call('ZREM', HOLDS, id)
elseif state == 'x' then
  charge(buckets, actual - tonumber(amount), 0)
end
if turn_away ~= '0' then
  redis.call('SET', HOLD .. id, 'v', 'EX', turn_away)
elseif state ~= 'v' then
  redis.call('DEL', HOLD .. id)
end
return state == 'o' and 1 or state == 'x' and 2 or 0
