package s3store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ErrAddress says that the address of an object store is of another form.
var ErrAddress = errors.New("the address of an object store must be s3://BUCKET/PREFIX?endpoint=https://HOST")

// Address says where objects are.
type Address struct {
	Bucket   string
	Prefix   string // in front of all names; empty, or without / at its ends
	Endpoint string // host, and port if need be
	Secure   bool   // https
	Region   string // empty: the server is asked
	// Keep lets artefacts that are in the database stay there.
	Keep bool
}

// ParseAddress reads s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION&move=no. Without
// endpoint it is that of AWS. http:// is for this machine only, or whoever is in between could
// read what people have learned. It fails with ErrAddress.
func ParseAddress(text string) (Address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.Fragment != "" {
		return Address{}, ErrAddress // not the text itself: a secret may stand in it
	}
	if u.User != nil {
		return Address{}, fmt.Errorf("%w; no key stands in it", ErrAddress)
	}
	a := Address{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Endpoint: "s3.amazonaws.com", Secure: true}
	for name, values := range u.Query() {
		switch value := values[0]; name {
		case "endpoint":
			if err := a.setEndpoint(value); err != nil {
				return Address{}, err
			}
		case "region":
			a.Region = value
		case "move":
			if value != "no" && value != "yes" {
				return Address{}, fmt.Errorf("%w; move is yes or no", ErrAddress)
			}
			a.Keep = value == "no"
		default:
			return Address{}, fmt.Errorf("%w, with region and move if need be; %q means nothing", ErrAddress, name)
		}
	}
	return a, nil
}

func (a *Address) setEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("%w; endpoint is scheme, host and port only", ErrAddress)
	}
	ip := net.ParseIP(u.Hostname())
	near := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !near) {
		return fmt.Errorf("%w; http:// works for this machine only", ErrAddress)
	}
	a.Endpoint, a.Secure = u.Host, u.Scheme == "https"
	return nil
}
