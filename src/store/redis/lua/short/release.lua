-- Defines `reply` of a release (see ops/) of a name that nobody else has or wants, or of an exclusive lock that goes to the next in the queue;
-- leaves it nil, having changed nothing, in all other cases.
  local id, used = string.match(operation, '^L (%S+) 0 [01] (%d+)$')
  -- Where a record stands, so does all that is written with it.
  local state = id and redis.pcall('HMGET', key, id, 'ends', 'span', 'token', 'used', 'ticket')
  local record = state and state[1]
  local ends, span, token = record and tonumber(state[2]), record and tonumber(state[3]), record and tonumber(state[4])
  if ends and span and token and ends > now then
    local exclusive = string.sub(record, 1, 1) == 'x'
    token = math.max(token, tonumber(used))
    if state[6] then
      if exclusive then
--- @include "short/hand-over"
        ok, reply = pcall(hand_over, key, id, token)
      end
    elseif span <= KEEP_TOKEN and (exclusive or string.match(record, '^c(%d+)') == state[5]) then
      if type(redis.pcall('HDEL', key, id, 'mode', 'used', 'limit', 'ends', 'span')) == 'number' then
        -- After a removal no write of this script is refused for want of memory.
        if used ~= '0' then redis.pcall('HSET', key, 'token', text(token)) end
        reply = '1'
      end
    end
  end
