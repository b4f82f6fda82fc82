-- Defines renew. Fields: id ttl, and where the lock was handed on inside its process: token info
-- Reply: 1 the lease lasts at least ttl ms from now | 0 nothing is held under this id, and nothing was re-created

local function renew(key, fields)
  local id, ttl, token, info = string.match(fields, '^(%S+) (%d+) ?(%d*) ?(.*)$')
  local s = load(key, id)
  local h = s.mine
  if not h or h.mode == 'w' or h.expires <= now then
    return '0'
  end
  if token ~= '' then
    h.token, h.info = tonumber(token), info
    note_token(s, h.token)
  end
  extend(s, id, h, tonumber(ttl))
  return '1'
end
