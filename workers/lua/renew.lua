-- ARGV: id, token, lease (ms) of each claim. Returns 1 for each that holds, 0 for each that is lost.
local now, held = steady_ms(), {}
for i = 1, #ARGV, 3 do
  local holds = redis.call('HGET', TOKEN, ARGV[i]) == ARGV[i + 1]
  if holds then
    redis.call('ZADD', LEASE, now + tonumber(ARGV[i + 2]), ARGV[i])
  end
  held[#held + 1] = holds and 1 or 0
end
return held
