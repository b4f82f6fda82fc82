-- Defines inspect. Fields: none
-- Reply: { 0, number of texts in the state, field, value, ..., number of members, member, ... in the order of grants, id, waiter, ... }
--   flat, because old clients lose what is nested deeper; nothing is changed

-- More waiters than this are not listed.
local LISTED = 10000

local function append(list, texts)
  for i = 1, #texts do
    list[#list + 1] = texts[i]
  end
end

local function inspect(key)
  local state = redis.call('HGETALL', key)
  local members = redis.call('ZRANGE', key .. ':queue', 0, LISTED - 1)
  local reply = { 0, #state }
  append(reply, state)
  reply[#reply + 1] = #members
  append(reply, members)
  append(reply, redis.call('HGETALL', key .. ':waiters'))
  return reply
end
