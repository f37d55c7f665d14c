-- ARGV: verb (ack, drop, retry, release), delay (ms), then id, token of each claim.
-- Returns 1 for each claim that held, 0 for one that was lost before.
local verb, delay, now, held = ARGV[1], tonumber(ARGV[2]), steady_ms(), {}

local function finish(id, step)
  local again = redis.call('ZSCORE', AGAIN, id)
  redis.call('ZREM', LEASE, id)
  redis.call('ZREM', AGAIN, id)
  redis.call('HDEL', TOKEN, id)
  if verb == 'retry' or verb == 'release' then
    if verb == 'retry' then
      redis.call('HINCRBY', TRIES, id, 1)
    end
    -- a put while it ran cuts the delay short, as one does while it is delayed
    place(id, step, math.min(now + delay, tonumber(again or now + delay)), now)
  elseif again then
    redis.call('HDEL', TRIES, id)
    redis.call('HDEL', LOST, id)
    redis.call('HDEL', ALONE, id)
    place(id, step, tonumber(again), now)
  else
    forget(id)
  end
end

for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local holds = redis.call('HGET', TOKEN, id) == ARGV[i + 1]
  if holds then
    finish(id, step_of(id))
  end
  held[#held + 1] = holds and 1 or 0
end
return held
