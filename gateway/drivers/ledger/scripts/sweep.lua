-- Charges holds whose time is over. KEYS: holds. ARGV: entries kept; at most how many.
-- Gives {'swept', expired, charged, entries written, how many holds are open}.
local most = ARGV[2]
-- include expire.lua
return { 'swept', late, charged, SEQ, call('ZCOUNT', HOLDS, NOW_MS + 1, '+inf') }
