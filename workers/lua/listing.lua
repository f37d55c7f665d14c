-- ARGV: step, limit. Returns state, id, score, time (ms; 0 = now), tries and lost leases of each job.
local step, limit, rows = ARGV[1], tonumber(ARGV[2]), {}

local function add(state, id, score, at)
  if #rows < limit and step_of(id) == step then
    local tries, lost = redis.call('HGET', TRIES, id), redis.call('HGET', LOST, id)
    rows[#rows + 1] = { state, id, score, at, tries or '0', lost or '0' }
  end
end

local function add_timed(state, key)
  local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    add(state, members[i], redis.call('HGET', JOB, members[i]) or members[i + 1], members[i + 1])
  end
end

add_timed('leased', LEASE)
local ready = redis.call('ZRANGE', ready_of(step), 0, limit - 1, 'WITHSCORES')
for i = 1, #ready, 2 do
  add('ready', ready[i], ready[i + 1], '0')
end
add_timed('delayed', DELAYED)
return rows
