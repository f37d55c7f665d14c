-- ARGV: id, score. A delayed or running job takes its new rank when it is ready again.
local id, score = ARGV[1], ARGV[2]
local ready = ready_of(step_of(id))
local waits = redis.call('ZSCORE', ready, id)
if waits then
  redis.call('ZADD', ready, score, id)
elseif not (redis.call('ZSCORE', DELAYED, id) or redis.call('ZSCORE', LEASE, id)) then
  return 0
end
redis.call('HSET', JOB, id, score)
return 1
