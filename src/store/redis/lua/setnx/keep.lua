-- Defines renew_beside, release_beside, force_release_beside: the operations of the same names (see ops/), and what they mean for the lock of 2013.

local function renew_beside(key, fields)
  local reply = renew(key, fields)
  if reply == '1' then show(key) end
  return reply
end

-- Without regard to what the text says by now: it is ours to remove while the state says so.
local function release_beside(key, fields)
  local reply = release(key, fields)
  if reply == '1' then show(key) end
  return reply
end

-- Also from a process of 2013, which does not hear of it.
local function force_release_beside(key, fields)
  local removed = force_release(key, fields)
  local value = redis.pcall('GETRANGE', old_key(key), 0, 63)
  if type(value) ~= 'string' or value == '' then return removed end
  show(key)
  return removed == '0' and '1' or removed
end
