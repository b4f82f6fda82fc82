-- Defines the server's time (now_us, now in ms), the settings of the call, and text(n), the only way a number becomes text.

local INBOX = ARGV[#KEYS + 1]
local CLAIM_WINDOW = tonumber(ARGV[#KEYS + 2])
local WAITER_LIFE = tonumber(ARGV[#KEYS + 3])

-- The last token outlives the name's use by this long, so that tokens grow even when a server's clock steps back a little.
local KEEP_TOKEN = 3600000
-- An id that was withdrawn before its request arrived is refused for this long.
local KEEP_WITHDRAWN = 30000
-- A queue is kept this long without a sign from anybody; each check of a living waiter begins it anew.
local KEEP_QUEUE = 3600000
-- One call moves on past this many waiters at most; whoever comes next goes on from there.
local PUMP_BOUND = 1000

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- tostring() and redis.call() both round large numbers or write them with an exponent.
local function text(n)
  return string.format('%.0f', n)
end
