-- Stands before every script. KEYS[1] is the prefix; its hash tag keeps all keys in one slot.
-- A job lies in exactly one of ready:<step> (by score), delayed (by not before) and lease (by expiry).
-- Of those that are ready, the urgent ones are in ready:<step>:urgent as well.
local prefix = KEYS[1]
local DELAYED, LEASE = prefix .. ':delayed', prefix .. ':lease'
local JOB, TOKEN = prefix .. ':job', prefix .. ':token' -- id -> score; id -> fencing token
local TRIES, LOST = prefix .. ':tries', prefix .. ':lost' -- id -> failed runs; id -> lost leases
local ISOLATED = prefix .. ':isolated' -- id -> token under which nothing else runs beside it
local ALONE = prefix .. ':alone' -- id -> leases lost like that
local AGAIN = prefix .. ':again' -- running, and wanted once more: by not before
local URGENT = prefix .. ':urgent' -- ids of jobs that may take a reserved slot

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function shift(key, by, only_failed)
  local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    if not only_failed or redis.call('HEXISTS', TRIES, members[i]) == 1 then
      redis.call('ZADD', key, tonumber(members[i + 1]) + by, members[i])
    end
  end
end

-- When Redis's clock was set, or nobody was there for a while: what backs off keeps the rest of its
-- pause, and after a step back no lease lasts longer for it. Times that callers gave stay.
local STEP_ON, STEP_BACK = 15000, -1000 -- ms; workers pass here every few seconds
local function steady_ms()
  local now = now_ms()
  local by = now - tonumber(redis.call('GET', prefix .. ':clock') or now)
  if by > STEP_ON or by < STEP_BACK then
    shift(DELAYED, by, true)
  end
  if by < STEP_BACK then
    shift(LEASE, by, false)
  end
  redis.call('SET', prefix .. ':clock', string.format('%d', now))
  return now
end

local function ready_of(step)
  return prefix .. ':ready:' .. step
end

local function urgent_of(step)
  return prefix .. ':ready:' .. step .. ':urgent'
end

local function step_of(id)
  return string.match(id, '^([a-z]+):[0-9]+$')
end

-- One token is enough to wake a worker: a claim that leaves jobs behind rings for the next one.
local function ring(key)
  local bell = prefix .. ':bell:' .. key
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end

-- Into the sets of what is ready. The score is the text that Redis keeps: Lua would round it.
local function rank(id, step, score)
  redis.call('ZADD', ready_of(step), score, id)
  ring(step)
  if redis.call('SISMEMBER', URGENT, id) == 1 then
    redis.call('ZADD', urgent_of(step), score, id)
    ring(step .. ':urgent')
  end
end

local function place(id, step, not_before, now)
  if not_before > now then
    redis.call('ZADD', DELAYED, not_before, id)
    if redis.call('ZRANGE', DELAYED, 0, 0)[1] == id then -- whoever waits must wake earlier now
      ring(step)
      ring(step .. ':urgent')
    end
  else
    rank(id, step, redis.call('HGET', JOB, id) or now)
  end
end

local function forget(id)
  for _, key in ipairs({ JOB, TOKEN, TRIES, LOST, ISOLATED, ALONE }) do
    redis.call('HDEL', key, id)
  end
  redis.call('ZREM', AGAIN, id)
  redis.call('SREM', URGENT, id)
end
