-- Merges a committed record into the state of its subject: the newer event time stays, the highest
-- transition number of the bucket stays, and the results of the bucket that are not the state any
-- more are listed after it.
-- KEYS[1] subject; ARGV bucket, transition, result (8 bytes), event time in ms, late (1 or 0), ms to live
local bucket, n, result, newest = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local late = ARGV[5] == '1'
local magic, header, limit = 'AXD1', 28, 32 * 8

local function add(past, r)
  for i = 1, #past, 8 do
    if string.sub(past, i, i + 7) == r then
      return past
    end
  end
  return string.sub(past .. r, -limit)
end

local b, m, t, r, past = bucket, n, newest, result, ''
local kept = redis.call('GET', KEYS[1])
if kept and #kept >= header and string.sub(kept, 1, #magic) == magic then
  b, m, t, r = struct.unpack('<i4I4i8c8', string.sub(kept, #magic + 1))
  past = string.sub(kept, header + 1)
  if late or newest < t or (newest == t and bucket == b and n < m) then
    if bucket == b and result ~= r then
      past = add(past, result)
    end
  else
    if bucket ~= b then
      past, m = '', 0
    elseif result ~= r then
      past = add(past, r)
    end
    b, t, r = bucket, newest, result
  end
  if bucket == b then
    m = math.max(m, n)
  end
elseif late then
  return 0
end
redis.call('SET', KEYS[1], magic .. struct.pack('<i4I4i8c8', b, m, t, r) .. past, 'PX', ARGV[6])
return 1
