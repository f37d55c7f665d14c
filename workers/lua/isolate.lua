-- ARGV: id, token. Returns 1 when that claim holds, and then its job runs with nothing beside it.
local id, token = ARGV[1], ARGV[2]
if redis.call('HGET', TOKEN, id) ~= token then
  return 0
end
redis.call('HSET', ISOLATED, id, token)
return 1
