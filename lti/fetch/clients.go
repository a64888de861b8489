package fetch

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// maxClients bounds how many clients with exceptions are kept; each holds connections.
const maxClients = 64

// Clients gives out clients: one that all share who need no exception, and one for each
// set of hosts that may be private. These must not be shared further: a connection to a
// private host, once open, would serve whoever calls the same name. It is safe for
// concurrent use.
type Clients struct {
	config Config
	common *http.Client

	mu     sync.Mutex
	byHost map[string]*http.Client
	recent []string // keys of byHost, the last used last
}

// NewClients returns clients that all make the exceptions of c.
func NewClients(c Config) *Clients {
	return &Clients{config: c, common: New(c), byHost: map[string]*http.Client{}}
}

// For returns the client for who may call privateHosts, besides the public ones. Ask again
// for every call: a client that was not used for long gives way to others.
func (c *Clients) For(privateHosts []string) *http.Client {
	if len(privateHosts) == 0 {
		return c.common
	}
	hosts := make([]string, len(privateHosts))
	for i, h := range privateHosts {
		hosts[i] = canonicalHost(h)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	key := strings.Join(hosts, " ")
	c.mu.Lock()
	defer c.mu.Unlock()
	client, ok := c.byHost[key]
	if !ok {
		config := c.config
		config.AllowHosts = slices.Concat(config.AllowHosts, hosts)
		client = New(config)
		c.byHost[key] = client
	}
	if i := slices.Index(c.recent, key); i >= 0 {
		c.recent = slices.Delete(c.recent, i, i+1)
	}
	c.recent = append(c.recent, key)
	if len(c.recent) > maxClients {
		oldest := c.recent[0]
		c.recent = slices.Delete(c.recent, 0, 1)
		c.byHost[oldest].CloseIdleConnections() // calls under way end by themselves
		delete(c.byHost, oldest)
	}
	return client
}
