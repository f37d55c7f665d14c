-- ARGV: key, places, how long they may be held (ms), token.
-- Returns 0 when a place was taken, else after how many ms one will be free at the latest.
local places, hold, token = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = math.floor(now_us() / 1000)
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if redis.call('ZCARD', key) >= places then
  return math.max(1, math.ceil(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] - now))
end
redis.call('ZADD', key, now + hold, token)
redis.call('PEXPIRE', key, hold + 1000)
if redis.call('ZCARD', key) < places and redis.call('LLEN', key .. ':bell') == 0 then
  redis.call('RPUSH', key .. ':bell', '1') -- there is room for the next as well
  redis.call('PEXPIRE', key .. ':bell', hold)
end
return 0
