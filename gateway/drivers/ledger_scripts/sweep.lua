-- Charges holds whose time is over. KEYS: holds. ARGV: entries kept; at most how many.
-- Gives {'swept', expired, charged, entries written, how many holds are open}.
local late, charged = expire(ARGV[2])
local open = redis.call('ZCOUNT', HOLDS, '(' .. text(NOW_MS), '+inf')
return { 'swept', late, charged, SEQ, open }
