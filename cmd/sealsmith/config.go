package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealsmith/sealsmith/issuance/sealbook"
	"github.com/sealsmith/sealsmith/migrations/sqldb"
)

// Settings are what every command may need. Each is a flag and an environment variable;
// the doc of each is its help text.
type Settings struct {
	Dir       string `help:"Folder for all data that has no other place. Default: ./var, for the demo ./var/demo." env:"SEALSMITH_DIR" type:"path"`
	Listen    string `help:"Address to listen on." env:"SEALSMITH_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	PublicURL string `help:"Address under which browsers reach the server; https outside of development. Default: http://localhost and the port of --listen." env:"SEALSMITH_PUBLIC_URL" placeholder:"URL"`
	Database  string `help:"sqlite:PATH or postgres://… Default: sqlite: in --dir." env:"SEALSMITH_DATABASE" placeholder:"ADDRESS"`
	Redis     string `help:"redis://…, unix:PATH, redis+sentinel://HOST,HOST/MASTER or redis+cluster://HOST,HOST; rediss… for TLS. Empty: a redis-server of our own, in --dir." env:"SEALSMITH_REDIS" placeholder:"ADDRESS"`
	Token     string `help:"The eSeal token as PKCS#11 URI (RFC 7512) with module-path and pin-source; several, separated by blanks, share the work or serve by x-for the organisations named. Empty: sealing is paused." env:"SEALSMITH_TOKEN" placeholder:"URI"`
	Trust     string `help:"PEM file with the certificates of the authorities that the verification page trusts." env:"SEALSMITH_TRUST" placeholder:"FILE" type:"path"`
	TSA       string `help:"Addresses of time-stamping authorities (RFC 3161), separated by blanks; the second is asked when the first does not answer. With one, credentials are proven for later years (JAdES B-LTA). User and password may stand in the address." env:"SEALSMITH_TSA" placeholder:"URL" name:"tsa"`
	TSATrust  string `help:"PEM file with the certificates that vouch for the time-stamping authorities. Default: those of --trust." env:"SEALSMITH_TSA_TRUST" placeholder:"FILE" type:"path" name:"tsa-trust"`
	EULists   string `help:"File of the trusted lists of the EU that sealsmith trust import keeps. Default: trust-lists.json in --dir." env:"SEALSMITH_TRUST_LISTS" placeholder:"FILE" type:"path" name:"trust-lists"`
	Artefacts string `help:"Where sealed files and PDFs are kept beside the database: s3://BUCKET/PREFIX?endpoint=https://HOST, with region= if need be, and move=no to carry nothing there any more. Keys are those of AWS's tools, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Empty: all are in the database." env:"SEALSMITH_ARTEFACTS" placeholder:"ADDRESS"`
	StoreKeys string `help:"File with the keys of the object store in the form of AWS's tools, profile default, instead of the environment." env:"SEALSMITH_ARTEFACT_KEYS" placeholder:"FILE" type:"path" name:"artefact-keys"`
	KeyFile   string `help:"File with the key that seals private keys in the database, mode 0600. Default: server.key in --dir, made on first start." env:"SEALSMITH_KEY_FILE" placeholder:"FILE" type:"path"`
	SealBook  string `help:"File, not in the database and not put back with it, in which each credential is noted before it is sealed. Default: seals.log in --dir." env:"SEALSMITH_SEAL_BOOK" placeholder:"FILE" type:"path"`
	KeyDays   int    `help:"Days after which the LTI signing key is replaced by itself; 0: never." env:"SEALSMITH_KEY_DAYS" default:"180"`
	Kit       string `help:"Folder for the issuer-gone kit, made anew every night: what checks credentials when this server is no more. Empty: none is made." env:"SEALSMITH_KIT" placeholder:"DIR" type:"path" name:"kit-dir"`
	Debug     bool   `help:"Log more." env:"SEALSMITH_DEBUG"`
}

// knownSettings are the environment variables that mean something to us.
func knownSettings() []string {
	return []string{
		"SEALSMITH_ARTEFACTS", "SEALSMITH_ARTEFACT_KEYS", "SEALSMITH_DATABASE", "SEALSMITH_DEBUG", "SEALSMITH_DIR", "SEALSMITH_DRAIN", "SEALSMITH_KEY_DAYS", "SEALSMITH_KEY_FILE",
		"SEALSMITH_KIT", "SEALSMITH_LISTEN", "SEALSMITH_PUBLIC_URL", "SEALSMITH_REDIS", "SEALSMITH_SEAL_BOOK", "SEALSMITH_TOKEN", "SEALSMITH_TRUST", "SEALSMITH_TRUST_LISTS",
		"SEALSMITH_TSA", "SEALSMITH_TSA_TRUST",
	}
}

// unknownSettings finds misspelt settings in an environment: one that is silently not
// read costs its operator a day. SEALSMITH_TEST_… and SEALSMITH_ELM_VALIDATE belong to the tests.
func unknownSettings(environ []string) []string {
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "SEALSMITH_") && !strings.HasPrefix(name, "SEALSMITH_TEST_") &&
			name != "SEALSMITH_ELM_VALIDATE" && name != "SEALSMITH_VULNDB" && !slices.Contains(knownSettings(), name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func (s *Settings) level() slog.Level {
	if s.Debug {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (s *Settings) dir() string {
	if s.Dir != "" {
		return s.Dir
	}
	return "var"
}

// trustLists is the file of the imported trusted lists.
func (s *Settings) trustLists() string {
	if s.EULists != "" {
		return s.EULists
	}
	return filepath.Join(s.dir(), "trust-lists.json")
}

// book is the seal book of this machine.
func (s *Settings) book() *sealbook.Book {
	if s.SealBook != "" {
		return &sealbook.Book{Path: s.SealBook}
	}
	return &sealbook.Book{Path: filepath.Join(s.dir(), "seals.log")}
}

func (s *Settings) databaseAddress() string {
	if s.Database != "" {
		return s.Database
	}
	return "sqlite:" + filepath.Join(s.dir(), "sealsmith.db")
}

// openDatabase opens and, when it is a SQLite file or empty, migrates the database.
func (s *Settings) openDatabase(ctx context.Context) (*sqldb.DB, error) {
	db, err := sqldb.Open(ctx, s.databaseAddress())
	if err != nil {
		return nil, err
	}
	have, err := db.Version(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the schema version: %w", err), db.Close())
	}
	if db.Embedded() || have == 0 {
		if _, err := db.Migrate(ctx); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return db, nil
	}
	if err := db.Current(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// publicURL returns the address for browsers. Plain http is for development on this
// machine only: cookies that work in a frame need https or loopback.
func (s *Settings) publicURL() (*url.URL, error) {
	raw := s.PublicURL
	if raw == "" {
		_, port, err := net.SplitHostPort(s.Listen)
		if err != nil {
			return nil, fmt.Errorf("--listen must be HOST:PORT: %w", err)
		}
		raw = "http://localhost:" + port
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("--public-url: %w", err)
	}
	if u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("--public-url must be scheme and host only, like https://seal.university.example, not %q", raw)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("--public-url must begin with https:// (http:// works for localhost only, in development), not %q", raw)
	}
	u.Path = ""
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
