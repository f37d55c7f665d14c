-- ARGV: steps. Returns for each: ready, delayed, those of the delayed that are due, leased.
local now, counts, found = now_ms(), {}, {}
for i, step in ipairs(ARGV) do
  counts[i] = { redis.call('ZCARD', ready_of(step)), 0, 0, 0 }
  found[step] = counts[i]
end
local function count(key, column, last)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', last)) do
    local row = found[step_of(id) or '']
    if row then
      row[column] = row[column] + 1
    end
  end
end
count(DELAYED, 2, '+inf')
count(DELAYED, 3, now)
count(LEASE, 4, '+inf')
return counts
