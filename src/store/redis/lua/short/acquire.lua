-- Defines `reply` of an acquire (see ops/) of a name that nobody else has or wants, or in whose place a lock of 2013 stands: 5 key; leaves it nil,
-- having changed nothing, in all other cases.
  local id, mode, permits, limit, ttl, info = string.match(operation, '^A (%S+) (%a) (%d+) (%d+) (%d+) %S+ 0 [01] %S (.*)$')
  local state = id and redis.pcall('HMGET', key, 'token', 'ends', 'ticket', id)
  local last = state and not state.err and tonumber(state[1] or 0)
  -- Whoever looks at a name that was used just now would look at every grant.
  if last and OLD_PREFIX and now_us - last > LOOK_AFTER and not state[4] then
    local tag = string.sub(key, #OLD_PREFIX + 2, -2)
    if string.find(tag, '%', 1, true) then
      tag = tag == '%' and '' or (string.gsub(string.gsub(string.gsub(tag, '%%7D', '}'), '%%7B', '{'), '%%25', '%%'))
    end
    local old = redis.pcall('GETRANGE', OLD_PREFIX .. tag, 0, 63)
    -- With our last token behind its point it is one of protocol setnx, whose holder stands in the state as well.
    if type(old) == 'string' and old ~= '' and string.match(old, '%.(%d+)$') ~= state[1] then
      reply = { 5, OLD_PREFIX .. tag }
    end
  end
  if last and not (reply or state[2] or state[3] or state[4]) then
    local token, token_text = now_us, now_us_text
    if last + TOKEN_STEP > now_us then
      token = last + TOKEN_STEP
      token_text = text(token)
    end
    if ttl ~= same_ttl then
      local lease = tonumber(ttl)
      same_ttl, same_ends, same_keep = ttl, text(now + lease), text(lease + KEEP_TOKEN)
    end
    local written
    if mode == 'x' then
      written = redis.pcall('HSET', key, 'token', token_text, 'mode', 'x', 'used', '1', 'ends', same_ends, 'span', ttl, id, 'x' .. info)
    else
      local record = 'c' .. permits .. ' ' .. same_ends .. ' ' .. ttl .. ' ' .. token_text .. ' ' .. info
      last = text(token + SPARE_TOKENS)
      written = redis.pcall('HSET', key, 'token', last, 'mode', 'c', 'used', permits, 'ends', same_ends, 'span', ttl, id, record, 'limit', limit)
    end
    if type(written) == 'number' and redis.pcall('PEXPIRE', key, same_keep) == 1 then
      reply = '1 ' .. token_text .. ' ' .. ttl .. ' 0'
    end
  end
