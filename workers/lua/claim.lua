-- ARGV: step, how many, lease (ms), token, 1 = urgent ones alone, who asks.
-- Returns bad members met, then of each claimed job: id, score, tries, lost leases, and how many of
-- these were lost with nothing beside it.
local step, wanted, lease, token = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local only_urgent, worker = ARGV[5] == '1', ARGV[6]
local now, bad, ready, urgent = steady_ms(), 0, ready_of(ARGV[1]), urgent_of(ARGV[1])
local BATCH = 64 -- of expired leases and of due jobs, so that one claim stays short
local ALIVE = 15000 -- ms after its last claim for which a worker counts

local function due(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, BATCH)
end

for _, id in ipairs(due(LEASE)) do
  redis.call('ZREM', LEASE, id)
  local of = step_of(id)
  if of then
    redis.call('HINCRBY', LOST, id, 1)
    local isolated = redis.call('HGET', ISOLATED, id)
    if isolated and isolated == redis.call('HGET', TOKEN, id) then
      redis.call('HINCRBY', ALONE, id, 1)
    end
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

-- Of a short queue each worker takes its share: the others wait for the bell that is rung below.
local function share()
  local workers = prefix .. ':workers:' .. step
  redis.call('ZADD', workers, now + ALIVE, worker)
  redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
  return math.ceil(redis.call('ZCARD', ready) / redis.call('ZCARD', workers))
end

if worker ~= '' and not only_urgent then
  wanted = math.min(wanted, math.max(1, share()))
end

local from, other = ready, urgent
if only_urgent then
  from, other = urgent, ready
end
local ids, scores = {}, {}
while #ids < wanted do
  local popped = redis.call('ZPOPMIN', from, wanted - #ids)
  if #popped == 0 then
    break
  end
  for i = 1, #popped, 2 do
    redis.call('ZREM', other, popped[i])
    if step_of(popped[i]) == step then
      ids[#ids + 1], scores[#scores + 1] = popped[i], popped[i + 1]
    else
      bad = bad + 1
    end
  end
end

local claims = { bad }
if #ids > 0 then
  local tries, lost = redis.call('HMGET', TRIES, unpack(ids)), redis.call('HMGET', LOST, unpack(ids))
  local alone = redis.call('HMGET', ALONE, unpack(ids))
  for i, id in ipairs(ids) do
    redis.call('ZADD', LEASE, now + lease, id)
    redis.call('HSET', TOKEN, id, token)
    claims[i + 1] = { id, scores[i], tries[i] or '0', lost[i] or '0', alone[i] or '0' }
  end
end

for key, set in pairs({ [step] = ready, [step .. ':urgent'] = urgent }) do
  if redis.call('ZCARD', set) == 0 then
    redis.call('DEL', prefix .. ':bell:' .. key)
  else
    ring(key)
  end
end
if bad > 0 then
  redis.call('INCRBY', prefix .. ':bad', bad)
end
return claims
