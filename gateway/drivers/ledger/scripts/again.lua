-- A part: the answer where the hold is there already, or was.
local record = call('GET', hold)
if record then
  local state, nanos, tokens, requests, left =
    string.match(record, '^(%a) (%d+) (%d+) (%d+) (%-?%d+)\n')
  if not state then return { 'void', late, charged, SEQ, record } end
  return { 'again', late, charged, SEQ, left + 0, nanos + 0, tokens + 0, requests + 0 }
end
