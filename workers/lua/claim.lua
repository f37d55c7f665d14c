-- ARGV: step, how many, lease (ms), token.
-- Returns bad members met, then id, score, tries and lost leases of each claimed job.
local step, wanted, lease, token = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now, bad, ready = now_ms(), 0, ready_of(ARGV[1])
local BATCH = 64 -- of expired leases and of due jobs, so that one claim stays short

local function due(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, BATCH)
end

for _, id in ipairs(due(LEASE)) do
  redis.call('ZREM', LEASE, id)
  local of = step_of(id)
  if of then
    redis.call('HINCRBY', LOST, id, 1)
    redis.call('HDEL', TOKEN, id)
    redis.call('ZREM', AGAIN, id)
    place(id, of, 0, now)
  else
    bad = bad + 1
  end
end

for _, id in ipairs(due(DELAYED)) do
  redis.call('ZREM', DELAYED, id)
  local of = step_of(id)
  if of then
    place(id, of, 0, now)
  else
    bad = bad + 1
  end
end

local claims = {}
while #claims < wanted do
  local popped = redis.call('ZPOPMIN', ready, wanted - #claims)
  if #popped == 0 then
    break
  end
  for i = 1, #popped, 2 do
    local id, score = popped[i], popped[i + 1]
    if step_of(id) == step then
      redis.call('ZADD', LEASE, now + lease, id)
      redis.call('HSET', TOKEN, id, token)
      redis.call('HSET', JOB, id, score)
      local tries, lost = redis.call('HGET', TRIES, id), redis.call('HGET', LOST, id)
      claims[#claims + 1] = { id, score, tries or '0', lost or '0' }
    else
      bad = bad + 1
    end
  end
end

if redis.call('ZCARD', ready) == 0 then
  redis.call('DEL', prefix .. ':bell:' .. step)
else
  ring(step)
end
if bad > 0 then
  redis.call('INCRBY', prefix .. ':bad', bad)
end
table.insert(claims, 1, bad)
return claims
