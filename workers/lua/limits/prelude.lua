-- Stands before every script of the limits. KEYS[1] is the prefix; ARGV[1] what is limited.
local key = KEYS[1] .. ':limit:' .. ARGV[1]

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
