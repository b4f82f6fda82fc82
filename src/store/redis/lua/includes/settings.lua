-- Defines the server's time (now_us, the same as text, now in ms), what is the same for all stores, and text(n), by which a number becomes text.

-- The last token outlives the name's use by this long, so that tokens grow even when a server's clock steps back a little.
local KEEP_TOKEN = 3600000

-- Behind the token of a counted grant so many are the holder's own, for others of its process that it hands its permits on to. While a lock
-- is exclusive its holder may count on with the time instead: nobody else makes tokens meanwhile, and the next is not smaller than the time.
local SPARE_TOKENS = 15

-- Among several servers exclusive holders count like this too: no clock is the same for all of them.
local TOKEN_STEP = VOTER and SPARE_TOKENS + 1 or 1

local time = redis.call('TIME')
local now_us_text = time[1] .. string.sub('00000' .. time[2], -6)
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- tostring() and redis.call() both round large numbers or write them with an exponent, and %d is cut to 32 bits on some builds.
local function text(n)
  return string.format('%.0f', n)
end
