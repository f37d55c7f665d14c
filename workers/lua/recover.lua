-- ARGV: tokens of claims whose answer never arrived. Their jobs go back to ready at no cost.
local asked, now, count = {}, now_ms(), 0
for _, token in ipairs(ARGV) do
  asked[token] = true
end
local held = redis.call('HGETALL', TOKEN)
for i = 1, #held, 2 do
  local id = held[i]
  local step = step_of(id)
  if asked[held[i + 1]] and step then
    redis.call('ZREM', LEASE, id)
    redis.call('ZREM', AGAIN, id)
    redis.call('HDEL', TOKEN, id)
    place(id, step, 0, now)
    count = count + 1
  end
end
return count
