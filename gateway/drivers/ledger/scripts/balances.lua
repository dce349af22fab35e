-- What is spent and held in each bucket, and how many places are taken.
-- KEYS: holds, buckets, places. ARGV: entries kept; {the first second of the buckets' periods, the
-- first one after, epoch or '', slots' widths and keeps (ms) of the buckets} as msgpack.
-- Gives {'balances', expired, charged, entries written, spent, held, spent, held, ...}, or
-- {'when', ..., the second it is} or {'lost', ..., epoch}.
local start, stop, epoch, buckets = unpack(cmsgpack.unpack(ARGV[2]))
if epoch ~= '' and known[1] ~= epoch then return { 'lost', 0, 0, SEQ, known[1] or '' } end
local most = 16
-- include expire.lua
if SECOND < start or SECOND >= stop then return { 'when', late, charged, SEQ, SECOND } end
-- include roll.lua
local reply = { 'balances', late, charged, SEQ }
for i = 2, #KEYS do
  local spent, held = 0, 0
  local bucket = buckets[i - 1]
  if not bucket then
    held = call('ZCOUNT', KEYS[i], NOW_MS + 1, '+inf')
  elseif bucket[1] > 0 then
    spent, held = roll(KEYS[i], bucket[1], bucket[2])
  else
    local had = call('HMGET', KEYS[i], 'spent', 'held')
    spent, held = (had[1] or 0) + 0, (had[2] or 0) + 0
  end
  reply[#reply + 1] = spent
  reply[#reply + 1] = held
end
return reply
