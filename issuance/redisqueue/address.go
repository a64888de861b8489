package redisqueue

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrAddress is returned by Options for what is no address of a Redis; the text says what
// is wrong and repeats nothing of the address, in which a password may stand.
var ErrAddress = errors.New("not an address of a Redis: use redis://HOST:PORT/DB, unix:PATH, " +
	"redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB or redis+cluster://HOST:PORT,HOST:PORT; rediss… for TLS")

// Ports of those who name none: https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// Options reads an address into what redis.NewUniversalClient takes:
//
//	redis://USER:PASSWORD@HOST:PORT/DB                           one server
//	unix:PATH                                                    one server, on a socket
//	redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DB the master that Sentinels name
//	redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT            a Cluster; a few of its nodes do
//
// With rediss in place of redis the connections are encrypted and the servers' certificates
// checked (also the Sentinels'). User and password are those of the data servers; Sentinels
// that ask for others take them from ?sentinel_username=…&sentinel_password=…. A port that
// is left out is 6379, of a Sentinel 26379; a database that is left out is 0, and a Cluster
// has no other. It fails with ErrAddress.
func Options(address string) (*redis.UniversalOptions, error) {
	// Who calls goes on without a Redis that is away, so it is not dialled again and again.
	o := &redis.UniversalOptions{MaxRetries: 1, DialTimeout: AnswerWithin, DialerRetries: 1, ContextTimeoutEnabled: true}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		o.Addrs = []string{strings.TrimPrefix(path, "//")}
		if o.Addrs[0] == "" {
			return nil, fmt.Errorf("%w (no path)", ErrAddress)
		}
		return o, nil
	}
	scheme, rest, ok := strings.Cut(address, "://")
	kind, known := strings.CutPrefix(scheme, "rediss")
	if known {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	} else {
		kind, known = strings.CutPrefix(scheme, "redis")
	}
	if !ok || !known || (kind != "" && kind != "+sentinel" && kind != "+cluster") {
		return nil, fmt.Errorf("%w (scheme)", ErrAddress)
	}
	if err := read(o, kind, rest); err != nil {
		return nil, err
	}
	return o, nil
}

// read reads what follows the scheme.
func read(o *redis.UniversalOptions, kind, rest string) error {
	// The list of hosts is not a URL's: it is taken out. It ends before the path, and
	// whatever precedes the last @ is user and password.
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndex(rest[:end], "@")
	u, err := url.Parse("redis://" + rest[:at+1] + "host" + rest[end:])
	if err != nil {
		return fmt.Errorf("%w (user, password or path: write special characters as %%XX)", ErrAddress) // without err, which quotes them
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	port := redisPort
	if kind == "+sentinel" {
		port = sentinelPort
	}
	if err := hosts(o, rest[at+1:end], port); err != nil {
		return err
	}
	if kind == "" && len(o.Addrs) > 1 {
		return fmt.Errorf("%w (several hosts)", ErrAddress)
	}
	if err := path(o, kind, strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })); err != nil {
		return err
	}
	return query(o, kind, u.RawQuery)
}

func hosts(o *redis.UniversalOptions, list, port string) error {
	for host := range strings.SplitSeq(list, ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" || u.Host != host {
			return fmt.Errorf("%w (hosts)", ErrAddress)
		}
		o.Addrs = append(o.Addrs, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	}
	return nil
}

// path reads the master's name and the number of the database.
func path(o *redis.UniversalOptions, kind string, parts []string) error {
	switch kind {
	case "+cluster":
		o.IsClusterMode = true
		if len(parts) > 0 && (len(parts) > 1 || parts[0] != "0") {
			return fmt.Errorf("%w (a Cluster has no other database than 0)", ErrAddress)
		}
		return nil
	case "+sentinel":
		if len(parts) == 0 {
			return fmt.Errorf("%w (the master's name is missing)", ErrAddress)
		}
		o.MasterName, parts = parts[0], parts[1:]
	}
	if len(parts) == 0 {
		return nil
	}
	db, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil || len(parts) > 1 {
		return fmt.Errorf("%w (number of the database)", ErrAddress)
	}
	o.DB = int(db)
	return nil
}

func query(o *redis.UniversalOptions, kind, raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return fmt.Errorf("%w (what follows the ?)", ErrAddress)
	}
	for name := range values {
		switch {
		case kind == "+sentinel" && name == "sentinel_username":
			o.SentinelUsername = values.Get(name)
		case kind == "+sentinel" && name == "sentinel_password":
			o.SentinelPassword = values.Get(name)
		default:
			return fmt.Errorf("%w (what follows the ?)", ErrAddress)
		}
	}
	return nil
}
