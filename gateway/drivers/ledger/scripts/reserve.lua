-- Sets amounts aside in every bucket and takes a place in every budget of requests at once, or
-- nothing at all.
-- KEYS: holds, buckets, places. ARGV: entries kept; the plan; '[<amounts>,"<life>","<hold id>"]',
-- with no quote in the life.
-- The plan, values in msgpack one after the other (tables in a table would cost 3 us more): how
-- long a hold lives (ms); the first second of the buckets' periods, and the first one after them;
-- the epoch, or '' where it is not known yet, and a name for a new one; the tenant; then for each
-- bucket and place its meter ('0': a place), slot's width (ms, 0: calendar), expiry (Unix seconds;
-- rolling: ms to outlive its last use; 0 never), how many limits it has, and for each its mode (0
-- hard, 1 soft, 2 shadow), cap, and from where on it is near.
-- Gives "[<entries written>,<left>]": it is held, and there is nothing to tell; a table costs the
-- server 2 us more. Else, each after how many holds expired meanwhile, what that charged, and the
-- entries written:
--   {'held', ..., left, then for each limit that is to be told its number, percent, 1 if first, and
--    what is spent and held of it then}
--   {'again', ..., left, nano-dollars, tokens, requests}: it is held already
--   {'refused', ..., which limit, its rest, the millisecond it is, and when at the latest enough
--    has left a rolling window (0: it is none), 1 if first}
--   {'when', ..., the second it is} for buckets of another time
--   {'meet', ..., epoch}, {'lost', ..., epoch} for another life of the data
--   {'void', ..., the hold's state} for an id whose time is over
local plan = { cmsgpack.unpack(ARGV[2]) }
local ttl, epoch = plan[1], plan[4]
local nanos, tokens, requests, life, id =
  string.match(ARGV[3], '^%[(%d+),(%d+),(%d+),"([^"]*)","(.*)"%]$')
local hold = HOME .. 'h:' .. id

if known[1] ~= epoch then
  if epoch ~= '' then return { 'lost', 0, 0, SEQ, known[1] or '' } end
  if not known[1] then call('HSET', STATE, 'epoch', plan[5]) end
  return { 'meet', 0, 0, SEQ, known[1] or plan[5] }
end

local most = 16
-- include expire.lua

if SECOND < plan[2] or SECOND >= plan[3] then return { 'when', late, charged, SEQ, SECOND } end

local left, buckets, places, lines = -1, 0, 0, ''
local fresh, slots, told, refused

-- Looks at each bucket and place, and at its limits: those that are near or passed are noted, and
-- where a hard one refuses it ends. What is rare has a table of its own, made when it happens, by
-- the number of the key: `fresh` buckets, the `slots` it is in those that roll. `spec` is where in
-- the plan a key's part begins.
local at, number = 7, 0
for i = 2, #KEYS do
  local key, meter, spec, width = KEYS[i], plan[at], at, plan[at + 1]
  local wanted, total
  if meter == '0' then
    places = places + 1
    wanted = (call('ZSCORE', key, life) or 0) + 0 > NOW_MS and 0 or 1
    total = call('ZCOUNT', key, NOW_MS + 1, '+inf') + wanted
  else
    buckets = i
    wanted = (meter == '1' and nanos or meter == '2' and tokens or requests) + 0
    local slot = '0'
    if width == 0 then
      local had = call('HMGET', key, 'spent', 'held')
      if not (had[1] or had[2]) then
        fresh = fresh or {}
        fresh[i] = true
      end
      total = (had[1] or 0) + (had[2] or 0) + wanted
    else
      -- include roll.lua
      local spent, held, now, new = roll(key, width, plan[at + 2])
      fresh, slots = fresh or {}, slots or {}
      fresh[i], slots[i], slot, total = new, now, now, spent + held + wanted
    end
    lines = lines .. '\n' .. meter .. ' ' .. slot .. ' ' .. key
  end
  local limits = plan[at + 3]
  at = at + 4
  for _ = 1, limits do
    local mode, cap = plan[at], plan[at + 1]
    number = number + 1
    if total >= plan[at + 2] then
      local over = total > cap and wanted > 0
      if over and mode == 0 then
        refused = { i, spec, cap, total, wanted }
        break
      elseif mode < 2 then
        told = told or {}
        told[#told + 1] = { number, total, total >= cap and 100 or 80, i, spec, mode, cap }
      elseif over then
        told = told or {}
        told[#told + 1] = { number, total, 100 }
      end
    end
    if meter == '1' and mode == 0 and (left < 0 or cap - total < left) then
      left = math.max(cap - total, 0)
    end
    at = at + 3
  end
  if refused then break end
end

local create, first
if fresh or told or refused then
  function create(i, spec)
    local width, expires = plan[spec + 1], plan[spec + 2]
    if width > 0 then
      call('HSET', KEYS[i], 'spent', 0, 'at', slots[i])
      call('PEXPIREAT', KEYS[i], NOW_MS + expires)
    elseif expires > 0 then
      call('EXPIREAT', KEYS[i], expires)
    end
  end

  -- Whether a limit was told of already, at this percent or a higher one; if not, now it is.
  function first(i, spec, mode, cap, percent)
    local field = 'w' .. string.sub('hsd', mode + 1, mode + 1) .. string.format('%.0f', cap)
    if plan[spec] == '0' then
      local key = KEYS[i] .. ':' .. field
      if (call('GET', key) or 0) + 0 >= percent then return 0 end
      call('SET', key, percent, 'PXAT', NOW_MS + 3600000)
      return 1
    end
    -- The mark says when it was made, in slots of a rolling bucket.
    local mark, slot = (call('HGET', KEYS[i], field) or 0) + 0, slots and slots[i] or 0
    local age = math.abs(slot - math.floor(mark / 1000))
    if mark % 1000 >= percent and age <= SLOTS then return 0 end
    call('HSET', KEYS[i], field, slot * 1000 + percent)
    return 1
  end
end

if refused then
  -- include again.lua
  local i, spec, cap, total, wanted = unpack(refused)
  local when, width = 0, plan[spec + 1]
  if width > 0 then
    local excess, old, newest = total - cap, slots[i] - SLOTS, slots[i]
    while excess > 0 and old <= newest do
      excess = excess - (call('HGET', KEYS[i], 's' .. old) or 0)
      old = old + 1
    end
    when = (old + SLOTS) * width
  end
  local new = first(i, spec, 0, cap, 100)
  if fresh and fresh[i] then create(i, spec) end
  local rest = math.max(cap - total + wanted, 0)
  return { 'refused', late, charged, SEQ, number, rest, NOW_MS, when, new }
end

-- Most holds are new, so it is not looked for before. Nothing of this one has been written yet.
local rest = string.format('%.0f', left)
local kept = 'o ' .. nanos .. ' ' .. tokens .. ' ' .. requests .. ' ' .. rest .. '\n' .. life
  .. '\n' .. plan[6] .. lines
if not call('SET', hold, kept, 'NX') then
  -- include again.lua
  return { 'void', late, charged, SEQ, '' } -- gone by now: its time is over
end
call('ZADD', HOLDS, NOW_MS + ttl, id)
local spec = 7
for i = 2, buckets do
  local meter = plan[spec]
  call('HINCRBY', KEYS[i], 'held', meter == '1' and nanos or meter == '2' and tokens or requests)
  if fresh and fresh[i] then create(i, spec) end
  spec = spec + 4 + 3 * plan[spec + 3]
end

if places > 0 then
  local list = HOME .. 'l:' .. life
  local taken = call('GET', list) or ''
  for i = #KEYS - places + 1, #KEYS do
    local key = KEYS[i]
    call('ZREMRANGEBYSCORE', key, '-inf', NOW_MS)
    call('ZADD', key, NOW_MS + ttl, life)
    call('PEXPIREAT', key, NOW_MS + ttl + 3600000)
    if not string.find(taken, key .. '\n', 1, true) then taken = taken .. key .. '\n' end
  end
  call('SET', list, taken, 'PXAT', NOW_MS + ttl)
end

if late == 0 and not told then return '[' .. (known[2] or '0') .. ',' .. rest .. ']' end
local reply = { 'held', late, charged, SEQ, left }
for _, limit in ipairs(told or {}) do
  local which, total, percent, i, spec, mode, cap = unpack(limit)
  reply[#reply + 1] = which
  reply[#reply + 1] = percent
  reply[#reply + 1] = i and first(i, spec, mode, cap, percent) or 1
  reply[#reply + 1] = total
end
return reply
