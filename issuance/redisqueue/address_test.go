package redisqueue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sealsmith/sealsmith/issuance/redisqueue"
)

// read is what an address says.
type read struct {
	Addrs                      []string
	User, Password             string
	SentinelUser, SentinelPass string
	Master                     string
	DB                         int
	Cluster, TLS               bool
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]read{
		"redis://localhost":                         {Addrs: []string{"localhost:6379"}},
		"redis://localhost:1/2":                     {Addrs: []string{"localhost:1"}, DB: 2},
		"redis://:secret@127.0.0.1:1":               {Addrs: []string{"127.0.0.1:1"}, Password: "secret"},
		"rediss://seal:s%40c%2Fret@[::1]:1/0":       {Addrs: []string{"[::1]:1"}, User: "seal", Password: "s@c/ret", TLS: true},
		"unix:/run/redis.sock":                      {Addrs: []string{"/run/redis.sock"}},
		"unix:///run/redis.sock":                    {Addrs: []string{"/run/redis.sock"}},
		"redis+sentinel://a:1,b,[::1]/mymaster":     {Addrs: []string{"a:1", "b:26379", "[::1]:26379"}, Master: "mymaster"},
		"redis+sentinel://u:p@a/my/3":               {Addrs: []string{"a:26379"}, User: "u", Password: "p", Master: "my", DB: 3},
		"rediss+sentinel://a/my?sentinel_password=": {Addrs: []string{"a:26379"}, Master: "my", TLS: true},
		"redis+sentinel://u:p@a/my?sentinel_username=v&sentinel_password=q%26": {
			Addrs: []string{"a:26379"}, User: "u", Password: "p", SentinelUser: "v", SentinelPass: "q&", Master: "my",
		},
		"redis+cluster://u:p@a:1,b:2,c": {Addrs: []string{"a:1", "b:2", "c:6379"}, User: "u", Password: "p", Cluster: true},
		"rediss+cluster://a/0":          {Addrs: []string{"a:6379"}, Cluster: true, TLS: true},
	} {
		o, err := redisqueue.Options(address)
		must(t, err)
		got := read{o.Addrs, o.Username, o.Password, o.SentinelUsername, o.SentinelPassword, o.MasterName, o.DB, o.IsClusterMode, o.TLSConfig != nil}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", address, diff)
		}
		if !o.ContextTimeoutEnabled {
			t.Errorf("%s: slow answers are not bounded", address)
		}
		client := redis.NewUniversalClient(o)
		if _, cluster := client.(*redis.ClusterClient); cluster != want.Cluster {
			t.Errorf("%s: %T", address, client)
		}
		must(t, client.Close())
	}
}

// What is wrong is refused, and no password is repeated.
func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "nonsense", "localhost:6379", "http://localhost", "redisx://localhost", "redis+other://localhost", "redis:localhost", "unix:", "unix://",
		"redis://", "redis://:hush@", "redis://:hush@a,b", "redis://:hush@a:port", "redis://:hush@a/one", "redis://:hush@a/-1", "redis://:hush@a/1/2",
		"redis://:hush%zz@a", "redis://:hu sh%@a", "redis://:hush@a/99999", "redis://:hush@a?db=1", "redis://a/0?password=hush",
		"redis+sentinel://:hush@a", "redis+sentinel://:hush@a/", "redis+sentinel://:hush@a,/my", "redis+sentinel://:hush@a/my/x", "redis+sentinel://a/my/0?sentinel_passwort=hush",
		"redis+sentinel://a/my?sentinel_password=hush%zz", "redis+cluster://:hush@a/1", "redis+cluster://:hush@a/0/0", "redis+cluster://:hush@,a",
		"redis://:hush@a/%zz", "redis://:hush@a b", "redis://:hush#@a#b",
	} {
		o, err := redisqueue.Options(address)
		if !errors.Is(err, redisqueue.ErrAddress) || o != nil {
			t.Errorf("%s: %v, %v", address, o, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "hu sh")) {
			t.Errorf("%s: the error tells the password: %v", address, err)
		}
	}
}
