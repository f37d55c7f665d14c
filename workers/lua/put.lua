-- ARGV: verb, then id, score, not before (ms, 0 = now) and 1 = urgent of each job.
-- "put": it must run after this call. "reconcile": it must be there; the records are the truth.
local now, settled = now_ms(), ARGV[1] == 'reconcile'

local function score_of(id, score, current)
  if settled or not current or tonumber(score) < tonumber(current) then
    redis.call('HSET', JOB, id, score)
    return score
  end
  return current
end

local function mark(id, step, is_urgent)
  if is_urgent then
    redis.call('SADD', URGENT, id)
  elseif settled and redis.call('SREM', URGENT, id) == 1 then
    redis.call('ZREM', urgent_of(step), id)
  end
end

local function put(id, step, score, not_before, is_urgent)
  if redis.call('ZSCORE', LEASE, id) then
    if not settled then -- what runs now was read before this call
      mark(id, step, is_urgent)
      redis.call('HSET', JOB, id, score)
      local marked = redis.call('ZSCORE', AGAIN, id)
      if not marked or not_before < tonumber(marked) then
        redis.call('ZADD', AGAIN, not_before, id)
      end
    end
    return
  end
  local current = redis.call('ZSCORE', ready_of(step), id)
  if current then
    mark(id, step, is_urgent)
    rank(id, step, score_of(id, score, current))
    return
  end
  local waits = redis.call('ZSCORE', DELAYED, id)
  if waits then
    mark(id, step, is_urgent)
    score_of(id, score, redis.call('HGET', JOB, id))
    local backs_off = settled and redis.call('HEXISTS', TRIES, id) == 1
    if not backs_off and not_before < tonumber(waits) then
      redis.call('ZREM', DELAYED, id)
      place(id, step, not_before, now)
    end
    return
  end
  forget(id)
  mark(id, step, is_urgent)
  redis.call('HSET', JOB, id, score)
  place(id, step, not_before, now)
end

for i = 2, #ARGV, 4 do
  local step = step_of(ARGV[i])
  if step then
    put(ARGV[i], step, ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3] == '1')
  end
end
