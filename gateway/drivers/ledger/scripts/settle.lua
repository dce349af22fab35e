-- Settles. That a hold was settled is known for five minutes: to do so again changes nothing.
local keep, back = 300000, false
-- include settling.lua
