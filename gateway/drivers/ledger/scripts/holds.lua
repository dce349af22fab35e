-- A part: how a hold is read, and what it changes is written.

local find, sub = string.find, string.sub

-- A hold's state and amounts, its life and tenant, and its buckets as one text; of a mere state
-- nothing else. Amounts are text here, and what it left is not looked at. Lines are cut by `find`:
-- a pattern that runs over them costs 5 us.
local function parse(record)
  local first = find(record, '\n', 1, true)
  if not first then return record end
  local second = find(record, '\n', first + 1, true)
  local third = find(record, '\n', second + 1, true) or #record + 1
  local state, nanos, tokens, requests = string.match(record, '^(%a) (%d+) (%d+) (%d+) ')
  return state, { nanos, tokens, requests }, sub(record, first + 1, second - 1),
    sub(record, second + 1, third - 1), sub(record, third + 1)
end

-- The buckets of a hold as they are; one that is no longer kept stays away. Each is four elements,
-- its key, meter, slot and values: a table of its own would cost 0.2 us.
local function read(buckets)
  local found, last, from = {}, 0, 1
  while from <= #buckets do
    local to = find(buckets, '\n', from, true) or #buckets + 1
    local space = find(buckets, ' ', from + 2, true)
    local slot, key = sub(buckets, from + 2, space - 1), sub(buckets, space + 1, to - 1)
    local had
    if slot == '0' then
      had = call('HMGET', key, 'spent', 'held')
    else
      had = call('HMGET', key, 'spent', 'held', 'at')
      -- What has left the window is spent no more; what was held by a clock that was ahead, now.
      local number, newest = slot + 0, (had[3] or 0) + 0
      had[4] = had[3] and number > newest - SLOTS - 1
      if number > newest then slot = had[3] end
    end
    if had[1] or had[2] then
      found[last + 1], found[last + 2] = key, string.byte(buckets, from) - 48
      found[last + 3], found[last + 4] = slot, had
      last = last + 4
    end
    from = to + 1
  end
  return found
end

-- Adds to what is spent in them, by their meters, and takes from what is held, if anything was.
local function add(found, spent, held)
  for at = 1, #found, 4 do
    local key, meter, slot, had = found[at], found[at + 1], found[at + 2], found[at + 3]
    local more, less = spent[meter] + 0, (held and held[meter] or 0) + 0
    if slot ~= '0' then
      if not had[4] then more = 0 end
      if more ~= 0 then call('HINCRBY', key, 's' .. slot, more) end
    end
    local total, rest = (had[1] or 0) + more, (had[2] or 0) - less
    if total < EXACT and rest < EXACT then
      call('HSET', key, 'spent', total, 'held', rest)
    else
      call('HINCRBY', key, 'spent', more)
      call('HINCRBY', key, 'held', 0 - less)  -- not -less: there is a -0, which is no integer
    end
  end
end

-- Writes to the book what is charged to which buckets, and why. Whose call it was, the record says;
-- each field costs 1 us. What is too old goes each hundredth time: a server keeps entries by the
-- hundred, and to ask it costs 2 us.
local function enter(kind, id, life, tenant, charged, buckets, record)
  SEQ = SEQ + 1
  local usage, epoch = HOME .. 'usage', known[1] or ''
  if record == '' then
    call('XADD', usage, '*', 'seq', SEQ, 'epoch', epoch, 'kind', kind, 'id', id, 'life', life,
      'tenant', tenant, 'charged', charged, 'buckets', buckets, 'record', record)
  else
    call('XADD', usage, '*', 'seq', SEQ, 'epoch', epoch, 'kind', kind, 'id', id,
      'charged', charged, 'buckets', buckets, 'record', record)
  end
  if SEQ % 100 == 0 then call('XTRIM', usage, 'MAXLEN', '~', ARGV[1]) end
  call('HSET', STATE, 'seq', SEQ)
end
