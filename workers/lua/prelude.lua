-- Stands before every script. KEYS[1] is the prefix; its hash tag keeps all keys in one slot.
-- A job lies in exactly one of ready:<step> (by score), delayed (by not before) and lease (by expiry).
local prefix = KEYS[1]
local DELAYED, LEASE = prefix .. ':delayed', prefix .. ':lease'
local JOB, TOKEN = prefix .. ':job', prefix .. ':token' -- id -> score; id -> fencing token
local TRIES, LOST = prefix .. ':tries', prefix .. ':lost' -- id -> failed runs; id -> lost leases
local AGAIN = prefix .. ':again' -- running, and wanted once more: by not before

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ready_of(step)
  return prefix .. ':ready:' .. step
end

local function step_of(id)
  return string.match(id, '^([a-z]+):[0-9]+$')
end

-- One token is enough to wake a worker: a claim that leaves jobs behind rings for the next one.
local function ring(step)
  local bell = prefix .. ':bell:' .. step
  if redis.call('LLEN', bell) == 0 then
    redis.call('RPUSH', bell, '1')
  end
end

-- The score is handed on as the text that Redis keeps: Lua would round it.
local function place(id, step, not_before, now)
  if not_before > now then
    redis.call('ZADD', DELAYED, not_before, id)
    if redis.call('ZRANGE', DELAYED, 0, 0)[1] == id then
      ring(step) -- whoever waits must wake earlier now
    end
  else
    redis.call('ZADD', ready_of(step), redis.call('HGET', JOB, id) or now, id)
    ring(step)
  end
end

local function forget(id)
  for _, key in ipairs({ JOB, TOKEN, TRIES, LOST }) do
    redis.call('HDEL', key, id)
  end
  redis.call('ZREM', AGAIN, id)
end
