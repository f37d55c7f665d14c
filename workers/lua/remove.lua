-- ARGV: id. Takes a waiting job out; a running one ends, but does not run once more.
local id = ARGV[1]
local step = step_of(id)
local waited = redis.call('ZREM', ready_of(step), id) + redis.call('ZREM', DELAYED, id)
redis.call('ZREM', urgent_of(step), id)
if waited > 0 then
  forget(id)
  return 1
end
redis.call('ZREM', AGAIN, id)
return 0
