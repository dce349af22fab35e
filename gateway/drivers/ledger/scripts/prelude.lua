-- Goes in front of the other scripts. KEYS[1] is a home's holds, ARGV[1] how many entries its book
-- is to keep. Every key of a home has the tag {home}, so that one script may touch them all on a
-- cluster:
--   tg:{home}:holds      ZSET    hold id by expiry, Unix ms: the open holds
--   tg:{home}:h:<id>     a hold, three lines and more: "<state> <amounts> <left>", life, tenant,
--                        then the buckets it is in, each "<meter> <slot> <key>"; or a mere state
--   tg:{home}:b:<owner>:<scope>:<account>:<meter>:<period>
--                        HASH    a bucket: spent, held, and marks, w<mode><cap>: what was told
--     ...:rolling-<per>  HASH    the same with s<slot>, spent in that slot of time, for the newest,
--                                `at`, and the 24 before; `spent` is their sum
--     ...:at_once:total  ZSET    life by expiry, Unix ms; beside it, a mark is a key of its own
--   tg:{home}:l:<life>   the places that a life has, one key to a line
--   tg:{home}:c:<id>     "1": charged without a hold
--   tg:{home}:state      HASH    epoch (a random name of this data), after (those it goes on from),
--                                seq (how many entries were ever written)
--   tg:{home}:usage      STREAM  the book: an entry for each change of what is spent
-- States: o open, x expired and charged, s settled, v given back, its id to be turned away.
-- Amounts are "<nano-dollars> <tokens> <requests>", the order in which a meter is 1, 2 or 3. Times
-- are absolute, so that nothing here depends on when exactly a key is gone.
--
-- Whole numbers below 2^53 are exact in Lua. As an argument of redis.call they become exact text by
-- themselves, in every version, and that is the cheapest way. Put into other text by `..` they are
-- rounded to 14 digits: enough for a slot, not for an amount, which takes '%.0f' (1 us). What a
-- bucket counts beyond 2^53 is left to HINCRBY. To make a number of text, `+ 0` costs half of what
-- tonumber does, which reads it twice.
--
-- A script that fails half-way is not undone. So each reads all it touches before it writes: a key
-- of a wrong type stops it in time. The book comes first of what is written, for the same reason; a
-- hold before the buckets that it is in: one that nobody knows of is charged when its time is over.
--
-- To define a function costs 0.1 us each time a script is called. So a part that is rarely needed
-- is a file of its own, and an "include" stands where it is needed.

local call = redis.call
local HOLDS = KEYS[1]
local HOME = string.sub(HOLDS, 1, -6)
local STATE = HOME .. 'state'
local SLOTS, EXACT = 24, 9007199254740992

local time = redis.call('TIME')
local SECOND = time[1] + 0
local NOW_MS = SECOND * 1000 + math.floor(time[2] / 1000)

local known = call('HMGET', STATE, 'epoch', 'seq')
local SEQ = (known[2] or 0) + 0
