-- A part: what is spent and held in a rolling bucket, after what has left its window is dropped,
-- the slot it is now, and whether it is new. `keep` is for how long it outlives its last use (ms).
local function roll(key, width, keep)
  local now = math.floor(NOW_MS / width)
  local had = call('HMGET', key, 'spent', 'held', 'at')
  if not had[3] then return 0, 0, now, true end
  local at, spent = had[3] + 0, (had[1] or 0) + 0
  if now > at then
    local gone = {}
    for slot = at - SLOTS, math.min(at, now - SLOTS - 1) do gone[#gone + 1] = 's' .. slot end
    for _, had in ipairs(call('HMGET', key, unpack(gone))) do spent = spent - (had or 0) end
    call('HSET', key, 'spent', spent, 'at', now)
    call('HDEL', key, unpack(gone))
    call('PEXPIREAT', key, NOW_MS + keep)
  elseif at - now > SLOTS then
    -- The clock was ahead by more than the window, and was put back. What was counted meanwhile
    -- counts as of now: else it would count until that time comes, and so would all that follows.
    local ahead = {}
    for slot = at - SLOTS, at do ahead[#ahead + 1] = 's' .. slot end
    call('HDEL', key, unpack(ahead))
    call('HSET', key, 'spent', spent, 's' .. now, spent, 'at', now)
    call('PEXPIREAT', key, NOW_MS + keep)
    at = now
  end
  return spent, (had[2] or 0) + 0, math.max(now, at), false
end
