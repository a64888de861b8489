package fetch

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// guard decides which addresses may be called.
type guard struct {
	loopback bool
	hosts    map[string]bool
	resolver *net.Resolver
}

// checkURL looks at what is written in an address; checkAddress sees where it leads.
func (g guard) checkURL(u *url.URL) error {
	host := canonicalHost(u.Hostname())
	switch {
	case u.User != nil:
		return blocked("user name in %s", u.Host)
	case host == "":
		return blocked("no host")
	case u.Fragment != "":
		return blocked("fragment in an address at %s", u.Host)
	case numeric(host):
		return blocked("%s is neither a name nor a whole address", u.Host)
	case g.loopback && loopbackName(host) && (u.Scheme == "http" || u.Scheme == "https"):
		return nil
	case u.Scheme != "https":
		return blocked("%s://%s is not https", u.Scheme, u.Host)
	case !g.hosts[host] && u.Port() != "" && u.Port() != "443" && u.Port() != "8443":
		return blocked("port %s of %s is not 443 or 8443, and the host is not allowed by name", u.Port(), host)
	}
	return nil
}

// numeric reports whether a host is an IPv4 address in disguise, as the resolvers of some
// systems read it: 2130706433, 0x7f.1, 127.1 and 0177.0.0.1 are all this computer.
func numeric(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false // written plainly: the dial decides
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

func (g guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, blocked("%q", address)
	}
	listed := g.hosts[canonicalHost(host)]
	d := net.Dialer{
		Timeout: connectTimeout, Resolver: g.resolver,
		ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			return g.checkAddress(resolved, listed)
		},
	}
	return d.DialContext(ctx, network, address)
}

// checkAddress sees the address the kernel is about to connect to. A host that is listed
// may be in a private network or on this computer.
func (g guard) checkAddress(resolved string, listed bool) error {
	ap, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return blocked("%q", resolved)
	}
	ip := ap.Addr().WithZone("").Unmap()
	switch {
	case within(metadata, ip):
		return blocked("%s is a link-local address or that of a metadata service", ip)
	case ip.IsLoopback() && (g.loopback || listed):
		return nil
	case listed && (ip.IsPrivate() || sharedSpace.Contains(ip)):
		return nil
	case !ip.IsGlobalUnicast() || ip.IsPrivate():
		return blocked("%s is not a public address", ip)
	case ip.Is6() && !globalUnicast6.Contains(ip) || within(reserved, ip):
		return blocked("%s is a reserved address", ip)
	}
	return nil
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

var (
	// sharedSpace is what providers use between themselves and their customers.
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
	// globalUnicast6 is all that IANA has given out of IPv6. Outside lie, among others, the
	// prefixes by which an IPv6 address stands for an IPv4 one (64:ff9b::/96, ::/96,
	// ::ffff:0:0:0/96).
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
)

// metadata are the addresses of cloud metadata services, which tell secrets to whoever asks,
// and the link-local ones, where most of them live. No exception reaches them.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("168.63.129.16/32"), // Azure, a public address
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("fd00:ec2::/32"),
	netip.MustParsePrefix("fd20:ce::/32"),
	netip.MustParsePrefix("fe80::/10"),
}

// reserved are the ranges of the IANA special-purpose registries that the methods of
// netip.Addr do not cover, and the prefixes by which an IPv6 address stands for an IPv4 one.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	sharedSpace,
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

func loopbackName(host string) bool {
	if h := canonicalHost(host); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func canonicalHost(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
