-- How long (ms) until something delayed is due or a lease runs out; -1 = there is nothing.
-- What is ready has rung the bell.
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
