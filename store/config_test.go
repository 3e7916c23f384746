package store

import (
	"fmt"
	"testing"
)

func TestConfigNamesWhatIsWrong(t *testing.T) {
	f := func(c RedisConfig, want string) {
		t.Helper()
		if got := fmt.Sprint(Config{Redis: c}.Validate()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	one := []string{"redis:6379"}
	f(RedisConfig{}, "<nil>")
	f(RedisConfig{Addresses: one, DB: 3, Username: "u", Password: "p", TLS: true, TLSCA: "ca.pem"}, "<nil>")
	f(RedisConfig{Addresses: []string{"a:1", "b:1"}, MasterName: "m", SentinelPassword: "p", DB: 1}, "<nil>")
	f(RedisConfig{Addresses: []string{"a:1", "[::1]:2"}}, "<nil>")
	f(RedisConfig{Password: "a pipeline may set it everywhere"}, "<nil>")

	f(RedisConfig{Addresses: []string{"a:1", "redis"}}, `store.redis.addresses[1]: must be host:port such as "redis:6379", got "redis"`)
	f(RedisConfig{Addresses: []string{":6379"}}, `store.redis.addresses[0]: must be host:port such as "redis:6379", got ":6379"`)
	f(RedisConfig{Addresses: one, DB: -1}, "store.redis.db: must be between 0 and 1048576, got -1")
	f(RedisConfig{Addresses: one, Cluster: true, DB: 1}, "store.redis.db: must be 0 for a Cluster, which has no other, got 1")
	f(RedisConfig{Addresses: []string{"a:1", "b:1"}, DB: 1}, "store.redis.db: must be 0 for a Cluster, which has no other, got 1")
	f(RedisConfig{Addresses: one, Cluster: true, MasterName: "m"},
		"store.redis.cluster: a master_name says that the addresses are Sentinels, so they cannot be a Cluster's; drop one of the two")
	f(RedisConfig{Addresses: one, SentinelPassword: "p"}, "store.redis.master_name: must be set where a Sentinel's login is")
	f(RedisConfig{Addresses: one, TLSCA: "ca.pem"}, "store.redis.tls: must be true where tls_ca is set")
	const login = `store.redis.addresses[0]: must be host:port such as "redis:6379"; a URL or a login does not belong there: use username, password, db and tls`
	f(RedisConfig{Addresses: []string{"redis://:s3cret@redis:6379"}}, login)
	f(RedisConfig{Addresses: []string{"rediss://redis"}}, login)
	f(RedisConfig{Addresses: []string{":s3cret@redis:6379"}}, login)
	f(RedisConfig{Addresses: []string{"s3cret@redis:6379"}}, login)
	f(RedisConfig{DB: 1}, "store.redis.addresses: must name a server where other options of store.redis are set")
	f(RedisConfig{TLS: true}, "store.redis.addresses: must name a server where other options of store.redis are set")
}
