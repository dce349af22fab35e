-- Charges holds whose time is over. KEYS: holds. ARGV: at most how many.
-- Gives {'swept', expired, charged, how many holds are open}.
local late, charged = expire(ARGV[1])
local after = '(' .. string.format('%.0f', NOW_MS)
return {'swept', late, charged, redis.call('ZCOUNT', HOLDS, after, '+inf')}
