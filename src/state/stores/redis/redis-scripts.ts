import { createHash } from 'node:crypto'

/** What runs within Redis, all of it or nothing, and nothing between. */
export interface RedisScript {
  readonly text: string
  readonly sha: string
}

// KEYS[1] is the hash of a session, KEYS[2] the last fence that was given, KEYS[3] the lock.
//
//   xps:{id}        created expires idle fence next   =KEY → place, then '=' and a text or ':' and what PHP serialized
//   xps:{id}:fence  a number; forgotten an hour after the last lock
//   xps:{id}:lock   the token of the holder; behind it '+' if somebody waits, '*' if another process does; gone with its lease
//                   or '!' and the first half of that token for a moment, in which only another process may have it
//
// The first half of a token is that of the store, so of a process: one that has always somebody who waits would have the
// lock for ever, as it knows first that it is free.
//
// A script says what it may do when Redis has no memory left; without `allow-oom` it is refused as a whole.

/** The highest fence that is known. */
const known = `
local function known()
  local last, written = redis.call('GET', KEYS[2]), redis.call('HGET', KEYS[1], 'fence')
  return math.max(tonumber(last or 0), tonumber(written or 0)), written
end`

/** When the engine removes it: in so many milliseconds, or never. */
const keep = `
local function keep(time)
  if time == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], time) end
end`

/** The hash, as fields and values in turn. Of a script, so that no client asks a replica for it. */
export const readScript: RedisScript = script(`#!lua flags=no-writes
return redis.call('HGETALL', KEYS[1])`)

/**
 * ARGV: expect, fence, created, expires, idle, time to live, '1' for cleared, how many are put; fields with values; fields
 * that are removed. A place is where a key stands among the others; it keeps it until it is removed.
 */
export const commitScript: RedisScript = script(`#!lua${known}${keep}
local last, written = known()
if tonumber(ARGV[2]) < last then return 'fenced' end
-- Under the same fence it is the same commit: the client has sent it twice, because its connection broke.
if ARGV[1] == 'absent' and written and tonumber(written) ~= tonumber(ARGV[2]) then return 'exists' end
if ARGV[1] == 'present' and not written then return 'missing' end
if ARGV[7] == '1' then redis.call('DEL', KEYS[1]) end
local place = tonumber(redis.call('HGET', KEYS[1], 'next') or 0)
local removed = 9 + 2 * tonumber(ARGV[8])
for at = 9, removed - 1, 2 do
  local before = redis.call('HGET', KEYS[1], ARGV[at])
  local own = before and string.match(before, '^%d+')
  if not own then
    own = string.format('%.0f', place)
    place = place + 1
  end
  redis.call('HSET', KEYS[1], ARGV[at], own .. ARGV[at + 1])
end
for at = removed, #ARGV do redis.call('HDEL', KEYS[1], ARGV[at]) end
redis.call('HSET', KEYS[1], 'created', ARGV[3], 'expires', ARGV[4], 'idle', ARGV[5], 'fence', ARGV[2],
  'next', string.format('%.0f', place))
keep(ARGV[6])
return 'done'`)

/** ARGV: fence, how long it is remembered. 1 if it is gone, 0 if there was none, -1 under an old fence. */
export const destroyScript: RedisScript = script(`#!lua flags=allow-oom${known}
if tonumber(ARGV[1]) < known() then return -1 end
local gone = redis.call('DEL', KEYS[1])
if gone == 1 then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) end
return gone`)

/**
 * ARGV: fence or nothing, expires, time to live. 1, 0 if there is none or, without a fence, another id has taken its place,
 * -1 under an old fence.
 */
export const touchScript: RedisScript = script(`#!lua flags=allow-oom${known}${keep}
local last, written = known()
if not written then return 0 end
if ARGV[1] ~= '' and tonumber(ARGV[1]) < last then return -1 end
if ARGV[1] == '' and redis.call('HGET', KEYS[1], 'idle') == '-1' then return 0 end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
keep(ARGV[3])
return 1`)

/**
 * ARGV: token, lease, how long the fence is remembered, '1' if one would wait. The fence; or -1 less than what is left of
 * the other's lease. A fence is the time in microseconds, or one more than the last: it grows also when that is forgotten.
 */
export const lockScript: RedisScript = script(`#!lua flags=allow-oom${known}
local token = ARGV[1]
local store = string.sub(token, 1, 16)
local held = redis.call('GET', KEYS[3])
local kept = held and string.sub(held, 1, 1) == '!'
if kept and string.sub(held, 2) ~= store then held = nil end
-- With our own token the client has sent it twice.
if held and string.sub(held, 1, #token) ~= token then
  local mark = string.sub(held, 1, 16) == store and '+' or '*'
  local marked = string.sub(held, #token + 1)
  if ARGV[4] == '1' and not kept and marked ~= mark and marked ~= '*' then
    redis.call('SET', KEYS[3], string.sub(held, 1, #token) .. mark, 'XX', 'KEEPTTL')
  end
  return -1 - math.max(0, redis.call('PTTL', KEYS[3]))
end
redis.call('SET', KEYS[3], token, 'PX', ARGV[2])
local time = redis.call('TIME')
local fence = math.max(time[1] * 1000000 + time[2], known() + 1)
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', ARGV[3])
return fence`)

/**
 * ARGV: token, lease, how long the fence is remembered, fence. 1, or 0 if the lock is another's, or was meanwhile. If only
 * its lease was over, it is the holder's again.
 */
export const renewScript: RedisScript = script(`#!lua flags=allow-oom
local held = redis.call('GET', KEYS[3])
if not held then
  if redis.call('GET', KEYS[2]) ~= ARGV[4] then return 0 end
  redis.call('SET', KEYS[3], ARGV[1])
elseif string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1`)

/** ARGV: token, channel, id, for how long only another process may have it. Tells those who wait, if anybody does. */
export const releaseScript: RedisScript = script(`#!lua flags=allow-oom
local held = redis.call('GET', KEYS[3])
if not held or string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
local mark = string.sub(held, #ARGV[1] + 1)
if mark == '*' then redis.call('SET', KEYS[3], '!' .. string.sub(ARGV[1], 1, 16), 'PX', ARGV[4])
else redis.call('DEL', KEYS[3]) end
if mark ~= '' then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return 1`)

function script(text: string): RedisScript {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}
