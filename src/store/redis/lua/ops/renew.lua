-- Defines renew. Fields: id ttl, and where the lock was handed on inside its process: token info
-- Reply: 1 the lease lasts at least ttl ms from now | 0 nothing is held under this id, and nothing was re-created | 2 as 1, but the token stays:
--   on one of several servers the new one is neither behind the holder's own, nor larger than all others

local function renew(key, fields)
  local id, ttl, token, info = string.match(fields, '^(%S+) (%d+) ?(%d*) ?(.*)$')
  local s = load(key, id)
  local h = s.mine
  if not h or h.mode == 'w' or h.expires <= now then
    return '0'
  end
  local reply = '1'
  if token ~= '' then
    token = tonumber(token)
    if VOTER and token > h.token + SPARE_TOKENS and token <= s.token then
      reply = '2'
    else
      local is_new = VOTER and h.mode == 'c' and token > s.token
      h.token, h.info = token, info
      note_token(s, is_new and token + SPARE_TOKENS or token)
    end
  end
  extend(s, id, h, tonumber(ttl))
  return reply
end
