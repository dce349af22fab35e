-- Gives a hold back whose call was surely never made, also where the reserve is yet to arrive: it is
-- turned away for an hour. The amounts are 0, and there is no record.
local keep, back = 3600000, true
-- include settling.lua
