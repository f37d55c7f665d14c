-- ARGV: id. Takes a waiting job out; a running one ends, but does not run once more.
local id = ARGV[1]
local waited = redis.call('ZREM', ready_of(step_of(id)), id) + redis.call('ZREM', DELAYED, id)
if waited > 0 then
  forget(id)
  return 1
end
redis.call('ZREM', AGAIN, id)
return 0
