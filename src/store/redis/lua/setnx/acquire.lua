-- Defines acquire_beside: as acquire (see ops/), for exclusive claims, which wait outside of any queue.
-- Reply: as acquire, and 5 key reason: what stands in the place of a lock of 2013 is none

local function acquire_beside(key, fields)
  local id, queue, claim = parse_claim(fields)
  local s = load(key, id)
  sweep(s)
  if s.mine then
    if s.mine.mode == 'w' then return '4' end
    extend(s, id, s.mine, claim.ttl)
    show(key)
    return granted(s.mine.token, claim.ttl, 1)
  end
  local old, reason = old_lock(key, s)
  if not old then return { 5, old_key(key), reason } end
  if s.used == 0 and old == 0 then
    if not s.ticket then
      local token = grant(s, id, claim, claim.ttl)
      show(key)
      -- Who else asks is not known: as if others did, so that no process keeps the lock for its own claims.
      return granted(token, claim.ttl, 1)
    end
    -- Those who wait in the queue of the other protocol go first.
    pump(s)
    if s.used > 0 then show(key) end
  end
  if queue == '0' then return '2' end
  return '0 0 ' .. text(math.max(old, s.ends and s.ends - now or 0)) .. ' 2'
end
