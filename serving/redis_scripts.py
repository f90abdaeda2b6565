"""The steps that must be one step on a Redis or Valkey server. Each touches keys of one slot alone.

Generations are compared as text: they are written with 16 hexadecimal digits.
"""

# Each of the two below is sent either with the meta as first key, where one server holds all keys:
# then nothing is written by a run that another has taken over from; or, in a cluster, without.
_GUARD = """
local first = 1
if ARGV[2] == 'guarded' then
    first = 2
    if redis.call('HGET', KEYS[1], 'fence') ~= tostring(tonumber(ARGV[1], 16)) then
        return {#KEYS - 1, 0}
    end
end
local newer, there = 0, 0
local function is_older(key)
    local head = redis.call('GETRANGE', key, 0, 127)
    if string.sub(head, 1, 16) > ARGV[1] then
        newer = newer + 1
        return false
    end
    if head ~= '' and not string.find(head, '|-\\n', 1, true) then there = there + 1 end
    return true
end
"""

# KEYS: values of one view. ARGV: generation, 'guarded' or '', then a value per key.
# Returns how many were newer and left alone, and how many were there before.
PUT = (
    _GUARD
    + """
for number = first, #KEYS do
    if is_older(KEYS[number]) then
        redis.call('SET', KEYS[number], ARGV[number - first + 3])
    end
end
return {newer, there}
"""
)

# KEYS: values of one view. ARGV: generation, 'guarded' or '', tombstone, its life in ms.
# Returns as PUT.
BURY = (
    _GUARD
    + """
for number = first, #KEYS do
    if is_older(KEYS[number]) then
        redis.call('SET', KEYS[number], ARGV[3], 'PX', ARGV[4])
    end
end
return {newer, there}
"""
)

# KEYS: meta. ARGV: generation that must still be there, run, lease in ms.
# Returns the new fencing token; {'stale', generation}; or {'busy', run}.
BEGIN = """
local meta = KEYS[1]
local generation = redis.call('HGET', meta, 'generation') or '0'
if generation ~= ARGV[1] then return {'stale', generation} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = redis.call('HGET', meta, 'writing_run')
if run and run ~= ARGV[2] and tonumber(redis.call('HGET', meta, 'writing_until')) > now then
    return {'busy', run}
end
local fence = redis.call('HINCRBY', meta, 'fence', 1)
redis.call('HSET', meta, 'writing_run', ARGV[2], 'writing_until', now + ARGV[3], 'is_dirty', '1')
return fence
"""

# KEYS: meta. Ends what a run that died may still be writing. Returns 1; or {'busy', run}.
TAKE_OVER = """
local meta = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = redis.call('HGET', meta, 'writing_run')
if run and tonumber(redis.call('HGET', meta, 'writing_until')) > now then return {'busy', run} end
redis.call('HINCRBY', meta, 'fence', 1)
redis.call('HDEL', meta, 'writing_run', 'writing_until')
return 1
"""

# KEYS: meta. ARGV: fencing token, lease in ms. Returns 1, or 0 if another has taken over.
RENEW = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', KEYS[1], 'writing_until', until_ms)
return 1
"""

# KEYS: meta. ARGV: fencing token. Lets others write; what was written stays marked as unfinished.
RELEASE = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'writing_run', 'writing_until')
return 1
"""

# KEYS: meta. ARGV: fencing token, fields and values. Notes when another epoch is served.
# Returns 1, or 0 if another has taken over.
COMMIT = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
if redis.call('HGET', KEYS[1], 'epoch') ~= epoch then
    local time = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'flipped_ms', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('HDEL', KEYS[1], 'writing_run', 'writing_until', 'is_dirty', 'filling_epoch')
return 1
"""

# KEYS: meta. Returns for how many milliseconds its epoch has been served; nil if it has none.
SINCE_FLIP = """
local flipped = redis.call('HGET', KEYS[1], 'flipped_ms')
if not flipped then return nil end
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000) - flipped
"""

# KEYS: meta. ARGV: generation and checksum that must still be there, fields and values.
# Returns 1, or 0 if they changed.
TOUCH = """
if (redis.call('HGET', KEYS[1], 'generation') or '0') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'checksum') or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1
"""

# KEYS: a user's controls, each a line "event id, tab, payload". ARGV: event id, payload.
ADD_CONTROL = """
local lines = redis.call('GET', KEYS[1]) or ''
if string.find(lines, '\\n' .. ARGV[1] .. '\\t', 1, true) then return 0 end
redis.call('SET', KEYS[1], lines .. '\\n' .. ARGV[1] .. '\\t' .. ARGV[2])
return 1
"""

# KEYS: a user's controls. ARGV: event ids. Returns how many controls are left.
SETTLE = """
local settled = {}
for _, event_id in ipairs(ARGV) do settled[event_id] = true end
local left, count = '', 0
for line in string.gmatch(redis.call('GET', KEYS[1]) or '', '\\n([^\\n]*)') do
    if not settled[string.match(line, '^[^\\t]*')] then
        left, count = left .. '\\n' .. line, count + 1
    end
end
if count == 0 then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], left) end
return count
"""

# KEYS: index of users with controls, by time. ARGV: user, time before which an entry is forgotten.
FORGET_USER = """
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) < tonumber(ARGV[2]) then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0
"""

# KEYS: mark of files to be cleaned. ARGV: the mark that was cleaned for, of the last erasure until then.
FORGET_MARK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
