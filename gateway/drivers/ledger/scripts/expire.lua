-- A part: charges in full the holds whose time is over, at most `most`; `late` of them, that
-- `charged` so much. They can be corrected for two days: one more than anybody tries to settle.
local late, charged = 0, 0
if call('ZCOUNT', HOLDS, '-inf', NOW_MS) > 0 then
  -- include holds.lua
  local over = call('ZRANGEBYSCORE', HOLDS, '-inf', NOW_MS, 'LIMIT', 0, most)
  for _, id in ipairs(over) do
    local key = HOME .. 'h:' .. id
    local record = call('GET', key)
    local state, amounts, life, tenant, buckets = parse(record or 'v')
    if state == 'o' then
      local found = read(buckets)
      enter('expired', id, life, tenant, table.concat(amounts, ' '), buckets, '')
      add(found, amounts, amounts)
      call('SET', key, 'x' .. string.sub(record, 2), 'PXAT', NOW_MS + 172800000)
      charged = charged + amounts[1]
    end
    call('ZREM', HOLDS, id)
  end
  late = #over
end
