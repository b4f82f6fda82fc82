-- Defines inspect. Fields: none
-- Reply: { 0, { field, value, ... } of the state, { member, ... } in the order of grants, { id, waiter, ... } }; nothing is changed

-- More waiters than this are not listed.
local LISTED = 10000

local function inspect(key)
  return {
    0,
    redis.call('HGETALL', key),
    redis.call('ZRANGE', key .. ':queue', 0, LISTED - 1),
    redis.call('HGETALL', key .. ':waiters'),
  }
end
