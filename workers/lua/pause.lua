-- ARGV: steps. How long (ms) a worker of these may sleep: 0 = there is work, -1 = nobody knows.
for _, step in ipairs(ARGV) do
  if redis.call('ZCARD', ready_of(step)) > 0 then
    return 0
  end
end
local now, pause = now_ms(), -1
for _, key in ipairs({ DELAYED, LEASE }) do
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if head then
    local left = math.max(0, math.ceil(tonumber(head) - now))
    if pause < 0 or left < pause then
      pause = left
    end
  end
end
return pause
