"""The Lua scripts. They decide nothing but whether a commit still applies.

Redis runs a script alone, so each is atomic, but it does not roll back: a command that fails in
the middle leaves the ones before it done. So nothing may fail there. A script checks all it
depends on, the types of its keys included, before its first write; READONLY, MISCONF, NOREPLICAS
and OOM are raised by the server at a script's first write or never; permissions are proven once,
when the store is opened (`PROBE`); a script that has written cannot be killed. What is written
reaches the append-only file as one MULTI … EXEC, of which a crash leaves all or nothing.

Values travel as bytes; no number passes through Lua's doubles but counts, key positions and
sequences (exact up to 2^53, as scores are).
"""

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1

MAX_ARGUMENTS = 4_000
"""How many arguments one command of a script has at most; Lua's unpack ends near 8,000."""


_MASTERS_ONLY = "redis.call('PERSIST', KEYS[1])"
"""Changes nothing, none of these keys expires; but it is a write, which a replica refuses, and
so does a master that has lost sight of its replicas (`min-replicas-to-write`)."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name that the server knows it by.

    Args:
        reads: whether it would also run on a replica.
    """

    text: bytes
    reads: bool = False
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = sha1(self.text, usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest.encode())

    @property
    def on_masters(self) -> "Script":
        """The same where another server may have become the master: no replica runs it."""
        return _guarded(self) if self.reads else self


@cache
def _guarded(script: Script) -> Script:
    return Script(_MASTERS_ONLY.encode() + b"\n" + script.text)


def _script(text: str, *, reads: bool = False) -> Script:
    return Script(text.strip().encode(), reads)


READ = _script(
    """
-- Answer several reading commands at once. ARGV: (command, position of its key, n, n arguments)…
local replies, at = {}, 1
while at <= #ARGV do
  local n = tonumber(ARGV[at + 2])
  replies[#replies + 1] =
    redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, at + 2 + n))
  at = at + 3 + n
end
return replies
""",
    reads=True,
)

SCAN = _script(
    """
-- The rows of a range. KEYS: revisions, the sorted set, the rows.
-- ARGV: n, n fields of revisions, command, from, to, offset, limit, whether these are index
-- entries.
local n = tonumber(ARGV[1])
local revisions = redis.call('HMGET', KEYS[1], unpack(ARGV, 2, n + 1))
local keys = redis.call(
  ARGV[n + 2], KEYS[2], ARGV[n + 3], ARGV[n + 4], 'LIMIT', ARGV[n + 5], ARGV[n + 6])
if ARGV[n + 7] == '1' then
  -- index value, key, and the index value's length in two bytes
  for i, member in ipairs(keys) do
    local high, low = string.byte(member, -2, -1)
    keys[i] = string.sub(member, high * 256 + low + 1, -3)
  end
end
local rows = {}
for first = 1, #keys, 4000 do
  local part = redis.call('HMGET', KEYS[3], unpack(keys, first, math.min(first + 3999, #keys)))
  for i = 1, #part do
    rows[#rows + 1] = part[i]
  end
end
return {revisions, keys, rows}
""",
    reads=True,
)

COMMIT = _script(
    """
-- Apply changes if nothing they depend on has changed. KEYS: the leases of others to respect,
-- revisions, replies, whatever else is written.
-- ARGV: the type of each key; own lease token; number of leases;
--       number of revisions, (field, expected)…; number of chunks, (n, n identities)…;
--       (command, position of its key, n, n arguments)…
local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end

for i = 1, #KEYS do
  local wanted, kind = take(), redis.call('TYPE', KEYS[i]).ok
  if kind ~= wanted and kind ~= 'none' then
    return 'foreign'
  end
end
local token, leases = take(), tonumber(take())
for i = 1, leases do
  local holder = redis.call('GET', KEYS[i])
  if holder and holder ~= token then
    return 'leased'
  end
end
for _ = 1, tonumber(take()) do
  local field, expected = take(), take()
  if (redis.call('HGET', KEYS[leases + 1], field) or '') ~= expected then
    return 'changed'
  end
end
for _ = 1, tonumber(take()) do
  local n = tonumber(take())
  for _, reply in ipairs(redis.call('HMGET', KEYS[leases + 2], unpack(ARGV, at + 1, at + n))) do
    if reply then
      return 'changed'
    end
  end
  at = at + n
end

while at < #ARGV do
  local command, key, n = take(), KEYS[tonumber(take())], tonumber(take())
  redis.call(command, key, unpack(ARGV, at + 1, at + n))
  at = at + n
end
return 'done'
"""
)

TAKE_LEASE = _script(
    """
-- Take or prolong leases. ARGV: token, milliseconds, how many of KEYS to take; the rest must be
-- free of others too. Answers 0, or for how many milliseconds another one holds one of them.
for i = 1, #KEYS do
  local holder = redis.call('GET', KEYS[i])
  if holder and holder ~= ARGV[1] then
    return math.max(1, redis.call('PTTL', KEYS[i]))
  end
end
for i = 1, tonumber(ARGV[3]) do
  redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
end
return 0
"""
)

FREE_LEASE = _script(
    """
-- Give leases back. ARGV: token.
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('DEL', KEYS[i])
  end
end
return 0
"""
)

FORGET = _script(
    """
-- Remove old replies. KEYS: replies, their instants. ARGV: before, how many at most.
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1], 'LIMIT', '0', ARGV[2])
if #old > 0 then
  redis.call('HDEL', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
end
return #old
"""
)

MARK = _script(
    """
-- Raise marks, though not past the head: a server that took over may have lost what another one
-- published. KEYS: published, heads. ARGV: (collection, sequence)…
for i = 1, #ARGV, 2 do
  local mark = redis.call('HGET', KEYS[1], ARGV[i]) or '0'
  local head = redis.call('HGET', KEYS[2], ARGV[i]) or ''
  local last = string.match(head, '"sequence":(%d+)') or '0'
  local wanted = ARGV[i + 1]
  if tonumber(wanted) > tonumber(last) then
    wanted = last
  end
  if tonumber(mark) < tonumber(wanted) then
    -- A removal first: it is allowed when memory is used up, and so is what follows it.
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('HSET', KEYS[1], ARGV[i], wanted)
  end
end
return 0
"""
)

FORGET_EVENTS = _script(
    """
-- Remove the first events. KEYS: events. ARGV: up to which sequence, how many at most.
local count = math.min(redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[1]), tonumber(ARGV[2]))
if count > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], '0', count - 1)
end
return count
"""
)

PROBE = _script(
    """
-- Check the layout's version, and that this account may run every command that is needed.
-- KEYS: layout, a hash, a sorted set, a string (none of them kept), the former lease on all.
-- ARGV: version, the former version, which is upgraded.
-- A removal first: it is allowed when memory is used up, and so is what follows it.
local version = redis.call('GET', KEYS[1])
if version and version ~= ARGV[1] and version ~= ARGV[2] then
  return version
end
redis.call('ZREM', KEYS[3], 'm')
redis.call('HSET', KEYS[2], 'f', 'v')
redis.call('HGET', KEYS[2], 'f')
redis.call('HMGET', KEYS[2], 'f')
redis.call('HGETALL', KEYS[2])
redis.call('HKEYS', KEYS[2])
redis.call('HDEL', KEYS[2], 'f')
redis.call('ZADD', KEYS[3], '0', 'm')
redis.call('ZCARD', KEYS[3])
redis.call('ZCOUNT', KEYS[3], '-inf', '0')
redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '0', 'LIMIT', '0', '1')
redis.call('ZRANGEBYLEX', KEYS[3], '-', '+', 'LIMIT', '0', '1')
redis.call('ZREVRANGEBYLEX', KEYS[3], '+', '-', 'LIMIT', '0', '1')
redis.call('ZREMRANGEBYRANK', KEYS[3], '0', '0')
redis.call('TYPE', KEYS[3])
redis.call('UNLINK', KEYS[3])
redis.call('SET', KEYS[4], 'v', 'PX', '1000')
redis.call('PTTL', KEYS[4])
redis.call('DEL', KEYS[4])
if version == ARGV[2] then
  redis.call('SET', KEYS[5], 'upgraded')
end
if version ~= ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1])
end
return ARGV[1]
""",
    reads=True,
)
