-- Writes what Amplitude was told of a property, or doubts it: what was told last stays, and so does the newest event time.
-- KEYS[1] property; ARGV value (8 bytes), sure (1 or 0), told in ms, newest event time in ms, doubt (1 or 0), ms to live
local magic, size = 'AXL1', 29
local value, sure, told, newest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- What is there and not of this format, of another type even, is nothing that anybody here knows of: it is overwritten.
local kept = redis.pcall('GET', KEYS[1])
local known = type(kept) == 'string' and #kept == size and string.sub(kept, 1, #magic) == magic
if not known then
  if ARGV[5] == '1' then
    return 0
  end
else
  local v, s, t, n = struct.unpack('<c8Bi8i8', string.sub(kept, #magic + 1))
  if ARGV[5] == '1' then
    if v == value then
      return 0
    end
    value, sure, told, newest = v, 0, t, n
  else
    newest = math.max(newest, n)
    if told < t then
      value, sure, told = v, s, t
    end
  end
end
redis.call('SET', KEYS[1], magic .. struct.pack('<c8Bi8i8', value, sure, told, newest), 'PX', ARGV[6])
return 1
