-- ARGV: id, score. A delayed or running job takes its new rank when it is ready again.
local id, score = ARGV[1], ARGV[2]
local step = step_of(id)
if redis.call('ZSCORE', ready_of(step), id) then
  rank(id, step, score)
elseif not (redis.call('ZSCORE', DELAYED, id) or redis.call('ZSCORE', LEASE, id)) then
  return 0
end
redis.call('HSET', JOB, id, score)
return 1
