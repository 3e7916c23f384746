package keys

// What the shared store consists of. The document of a key stands in one place, so a
// change is one write, and a digest only leads there. "{keys}" is the hash tag of
// all: a Cluster keeps them in one slot, where one script may touch them.
const (
	redisRecords = "tollgate:{keys}:records" // hash: public id -> version and document
	redisDigests = "tollgate:{keys}:digests" // hash: digest, as in the document -> public id
	redisTenants = "tollgate:{keys}:tenants" // hash: name -> version and document
	redisVersion = "tollgate:{keys}:version" // the highest version
	redisChanges = "tollgate:{keys}:changes" // sorted set: what was last changed in which version: a public id, or "tenant:" and a name
	redisAudit   = "tollgate:{keys}:audit"   // sorted set: version and document of each line, by version
	redisGraves  = "tollgate:{keys}:graves"  // sorted set: the deleted of what is in redisChanges, by the second of their end
	redisNews    = "tollgate:{keys}:news"    // the channel on which each new version is said
)

// tenantMember is what the name of a tenant follows in redisChanges.
const tenantMember = "tenant:"

const (
	// findScript follows a digest to its document in one round trip. A digest that leads nowhere gives the id and "",
	// which no reader takes for a document: a damaged store must not look like an unknown key.
	findScript = `
local id = redis.call('HGET', KEYS[2], ARGV[1])
if not id then return false end
return {id, redis.call('HGET', KEYS[1], id) or ''}`

	// listScript is a portion of a hash, after the name that the server gave itself at its start, where the user may ask, and
	// the next cursor.
	listScript = `
local info = redis.pcall('INFO', 'server')
local chunk = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local told = {type(info) == 'string' and string.match(info, 'run_id:(%w+)') or '', chunk[1]}
for i, text in ipairs(chunk[2]) do told[i + 2] = text end
return told`

	// commitScript is a compare-and-set of one document, with all that a change brings: its version, its digests, its place
	// among the changes, and its line of the audit. A script that fails is not undone. So it reads all before it writes, and
	// first makes each kind of write where it changes nothing, but HSET, which then comes before all else: a user without the
	// right, a key of another type and a full memory end it there. Who may not publish is heard of later: replicas ask four
	// times a second anyway.
	//
	// Where the clock was set back, the next version must not be guessed: a new master would give the one that was lost with
	// the old master to another change, which a replica that has heard of the lost one would never hear of.
	//
	// KEYS: hash of the document, digests, version, changes, audit, graves, records.
	// ARGV: field, old value ("": none), new document ("": none), member of the changes, line of the audit, how many lines to
	// keep, the second of a deletion ("": none), the second before which graves are emptied, how many digests come, the
	// channel, the digests that come, and those that go.
	commitScript = `
local field, old, new = ARGV[1], ARGV[2], ARGV[3]
if (redis.call('HGET', KEYS[1], field) or '') ~= old then return 'overtaken' end
local coming = tonumber(ARGV[9])
for i = 11, 10 + coming do
  local owner = redis.call('HGET', KEYS[2], ARGV[i])
  if owner and owner ~= field then return 'duplicate' end
end
local now = redis.call('TIME')
local version, head = now[1] * 1000000 + now[2], tonumber(redis.call('GET', KEYS[3]) or '0')
if version <= head then version = head + 1 + now[2] % 1000 end
local text = string.format('%.0f', version)
local graves = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', ARGV[8], 'LIMIT', 0, 100)
for i = 4, 6 do
  redis.call('ZADD', KEYS[i], 'XX', 0, '')
  redis.call('ZREM', KEYS[i], '')
end
redis.call('ZREMRANGEBYRANK', KEYS[5], 1, 0)
for _, hash in ipairs({KEYS[1], KEYS[2], KEYS[7]}) do redis.call('HDEL', hash, '') end
redis.call('SET', KEYS[3], string.format('%.0f', head), 'XX')
if new == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, text .. ' ' .. new) end
for i = 11, 10 + coming do redis.call('HSET', KEYS[2], ARGV[i], field) end
for i = 11 + coming, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
redis.call('SET', KEYS[3], text)
redis.call('ZADD', KEYS[4], text, ARGV[4])
redis.call('ZADD', KEYS[5], text, text .. ' ' .. ARGV[5])
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -(ARGV[6] + 1))
if ARGV[7] ~= '' then redis.call('ZADD', KEYS[6], ARGV[7], ARGV[4]) else redis.call('ZREM', KEYS[6], ARGV[4]) end
for _, member in ipairs(graves) do
  if member ~= ARGV[4] then
    redis.call('HDEL', KEYS[7], member)
    redis.call('ZREM', KEYS[4], member)
    redis.call('ZREM', KEYS[6], member)
  end
end
redis.pcall('PUBLISH', ARGV[10], text)
return text`

	// changesScript tells the version, which is 1 before the first change, the time, and then member, version and value of
	// each change, oldest first. Asked about 0, it tells the version alone. Asked about a version that was never made,
	// because the changes since an earlier one were lost, as in a failover, it tells that one alone: others may have been
	// made in their place. Each version has its line in the audit, but those that were trimmed; where the audit was removed, a
	// version that something still has was made all the same, or who reads all anew would be told of a loss at each portion.
	changesScript = `
local since, head, now = ARGV[1], redis.call('GET', KEYS[1]) or '1', redis.call('TIME')
local told = {head, now[1], now[2]}
if since == '0' or since == head then return told end
if since ~= '1' and redis.call('ZCOUNT', KEYS[5], since, since) + redis.call('ZCOUNT', KEYS[2], since, since) == 0 then
  local kept = redis.call('ZREVRANGEBYSCORE', KEYS[5], '(' .. since, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if #kept > 0 or redis.call('ZCARD', KEYS[5]) < tonumber(ARGV[3]) then
    told[1] = kept[2] or '1'
    return told
  end
end
local members = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #members, 2 do
  local member, value = members[i], false
  if string.sub(member, 1, 7) == 'tenant:' then
    value = redis.call('HGET', KEYS[4], string.sub(member, 8))
  else
    value = redis.call('HGET', KEYS[3], member)
  end
  told[#told + 1] = member
  told[#told + 1] = members[i + 1]
  told[#told + 1] = value or ''
end
return told`
)

// redisKeys are all that the store keeps there.
func redisKeys() []string {
	return []string{redisRecords, redisDigests, redisTenants, redisVersion, redisChanges, redisAudit, redisGraves}
}
