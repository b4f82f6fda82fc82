-- Defines force_release. Fields: none
-- Reply: the number of holders that were removed; each of them is told that something changed

local function force_release(key)
  local s = load(key, '-')
  local removed = 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local id = fields[i]
    if string.find(id, '.', 1, true) then
      local h = parse_holder(s, fields[i + 1])
      if h.mode ~= 'w' then
        redis.call('HDEL', key, id)
        if h.expires > now then
          removed = removed + 1
          tell(key, id, 'c', 'c ' .. id)
        end
      end
    end
  end
  if #fields > 0 then
    s.used, s.ends, s.span, s.dirty = 0, nil, 0, true
    pump(s)
    save(s)
  end
  return text(removed)
end
