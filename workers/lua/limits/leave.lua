-- ARGV: key, token, how long a place may be held (ms). Gives a place back and wakes who waits.
if redis.call('ZREM', key, ARGV[2]) == 1 and redis.call('LLEN', key .. ':bell') == 0 then
  redis.call('RPUSH', key .. ':bell', '1')
  redis.call('PEXPIRE', key .. ':bell', ARGV[3])
end
return 0
