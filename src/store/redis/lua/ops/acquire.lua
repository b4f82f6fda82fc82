-- Defines acquire. Fields: id mode permits limit ttl priority ticket queue(0|1|2:token|3:token) wake info
--   queue: 0 one attempt; 1 wait; 2 wait, and a grant up to this token goes back to whoever is first in the queue; 3 let go of such a grant, and
--   ask for nothing. A later grant is none of the business of a request that comes late
--   wake: p PUBLISH, c PUBLISH on a Cluster, s SPUBLISH, - none
-- Reply: 1 token lease others-wait(0|1) granted | 0 ticket ms-to-the-next-lease's-end number-of-waiters waiting | 2 busy | 3 limit conflict
--   | 4 withdrawn

local function parse_claim(fields)
  local id, mode, permits, limit, ttl, priority, ticket, queue, wake, info =
    string.match(fields, '^(%S+) (%a) (%d+) (%d+) (%d+) (%-?%d+) (%d+) (%S+) (%S) (.*)$')
  local how, upto = string.match(queue, '^(%d):?(%d*)$')
  return id, how, {
    mode = mode, permits = tonumber(permits), limit = tonumber(limit), ttl = tonumber(ttl), priority = tonumber(priority),
    ticket = tonumber(ticket), wake = wake, info = info, upto = tonumber(upto ~= '' and upto or nil),
  }
end

local function granted(token, lease, followed)
  return table.concat({ '1', text(token), text(lease), followed }, ' ')
end

local function waiting(s, ticket, waiters)
  return table.concat({ '0', text(ticket), text(s.ends and math.max(0, s.ends - now) or CLAIM_WINDOW), waiters }, ' ')
end

-- Of several servers too few granted the same claim: each takes its grant back, and gives it to whoever is first in its queue. That is the same
-- claim on all of them, be it this one.
local function yield(s, id, claim, again)
  redis.call('HDEL', s.key, id)
  s.used, s.mine, s.dirty = s.used - s.mine.permits, nil, true
  local ticket, waiters
  if again then ticket, waiters = enqueue(s, id, claim) end
  local token, followed = pump(s, id, claim.ttl)
  save(s)
  if not again then return '2' end
  if token then return granted(token, claim.ttl, followed) end
  return waiting(s, ticket, waiters)
end

local function acquire(key, fields)
  local id, queue, claim = parse_claim(fields)
  local s = load(key, id)
  sweep(s)
  if s.mine and s.mine.mode == 'w' then return '4' end
  if s.mine and claim.upto and s.mine.token <= claim.upto then return yield(s, id, claim, queue == '2') end
  if queue == '3' then return '2' end
  if s.mine then
    -- The same request again: its reply was lost, or its wake-up was.
    extend(s, id, s.mine, claim.ttl)
    return granted(s.mine.token, claim.ttl, s.ticket and 1 or 0)
  end
  if not s.ticket and claim.ticket > 0 and redis.call('EXISTS', s.queue) == 1 then
    -- The state was deleted or evicted under a queue: without this, who asks next would pass by it and stay in it.
    s.ticket = claim.ticket
    redis.call('HSET', s.key, 'ticket', text(s.ticket))
  end
  if s.ticket and s.used == 0 then
    -- Nobody holds it, yet there is a queue: the leases have just ended, and this call moves the queue on.
    local token, followed = pump(s, id, claim.ttl)
    if token then return granted(token, claim.ttl, followed) end
  end
  if claim.mode == 'c' and s.limit and s.limit ~= claim.limit then
    return '3 ' .. text(s.limit)
  end
  if not s.ticket and fits(s, claim.mode, claim.permits, claim.limit) then
    return granted(grant(s, id, claim, claim.ttl), claim.ttl, 0)
  end
  if queue == '0' and not (s.ticket and has_room(s)) then
    return '2'
  end
  -- Whoever goes first by priority and place goes first, be it this claim.
  local ticket, waiters = enqueue(s, id, claim)
  local token, followed = pump(s, id, claim.ttl)
  if token then return granted(token, claim.ttl, followed) end
  if queue == '0' then
    dequeue(s, id, member_of(ticket, id))
    pump(s)
    return '2'
  end
  return waiting(s, ticket, waiters)
end
