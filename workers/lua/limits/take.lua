-- ARGV: key, cost, rate (units a second), burst. A token bucket.
-- Returns 0 when the cost was taken, else after how many ms it may be there.
local cost, rate, burst = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_us()
local level, at = unpack(redis.call('HMGET', key, 'level', 'at'))
level, at = tonumber(level or burst), tonumber(at or now)
level = math.min(burst, level + math.max(0, now - at) * rate / 1000000) -- clocks may step back
local needed = math.min(cost, burst) -- what costs more than a full bucket takes a full one
local wait = 0
if level >= needed then
  level = level - cost -- and leaves a debt
else
  wait = math.ceil((needed - level) * 1000 / rate)
end
redis.call('HSET', key, 'level', string.format('%.17g', level), 'at', string.format('%d', now))
redis.call('PEXPIRE', key, math.ceil((burst - level) * 1000 / rate) + 1000)
return wait
