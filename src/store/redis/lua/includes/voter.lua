-- Defines the end of the call on a server that may not vote. VOTER is false, or, on one of several independent servers, the name of a hash
-- whose field `until` says from when on (the server's ms) it may grant: by then what it may have granted and forgotten is over. Where there is
-- none, the server has lost its memory or never had one: whoever asks finds out which, and writes it.
if VOTER then
  local sits_out = redis.call('HGET', VOTER, 'until')
  if not sits_out then return redis.error_reply('NOVOTE no memory of what was granted') end
  if tonumber(sits_out) > now then return redis.error_reply('NOVOTE for ' .. text(sits_out - now) .. ' ms') end
end
