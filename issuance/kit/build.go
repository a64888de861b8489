package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/issuance/jades"
	"github.com/sealsmith/sealsmith/issuance/status"
	"github.com/sealsmith/sealsmith/templates"
)

//go:embed page
var pageFiles embed.FS

// Builder makes kits.
type Builder struct {
	Desk      *issuance.Desk
	Templates *templates.Store
	PublicURL *url.URL // of the server
	// Anchors are certificates of authorities that are known here; they complete chains.
	Anchors []*x509.Certificate
}

// Result says what Build has made.
type Result struct {
	AsOf     time.Time // of the newest list; zero: there is none
	Files    int
	Bytes    int64
	Lists    int
	Entries  int      // credentials in the indexes
	Changed  bool     // the folder was replaced
	Warnings []string // what is not in the kit, in sentences
}

// Build makes the kit of the whole server in a folder, which is made, or replaced as a whole if it
// is a kit. Nothing happens when all bytes are the same. It fails with ErrNoKit for a folder that
// is something else, and with the errors of the database and of the disk.
func (b *Builder) Build(ctx context.Context, dir string) (Result, error) {
	if err := replaceable(dir); err != nil {
		return Result{}, err
	}
	k := &making{Builder: b, files: map[string][]byte{}}
	if err := k.fill(ctx); err != nil {
		return Result{}, err
	}
	k.files[sumsName] = sums(k.files)
	k.result.Files = len(k.files)
	for _, content := range k.files {
		k.result.Bytes += int64(len(content))
	}
	var err error
	k.result.Changed, err = replace(dir, k.files)
	return k.result, err
}

// making is one kit on its way.
type making struct {
	*Builder

	files    map[string][]byte
	manifest Manifest
	result   Result
}

// fill gathers all files but SHA256SUMS.
func (k *making) fill(ctx context.Context) error {
	k.manifest = Manifest{Format: format, Server: k.PublicURL.String(), Organisations: []Organisation{}}
	organisations, err := k.Templates.Organisations(ctx)
	if err != nil {
		return err
	}
	for _, o := range organisations {
		if err := k.organisation(ctx, o); err != nil {
			return fmt.Errorf("organisation %s: %w", o.Slug, err)
		}
	}
	k.result.AsOf = k.manifest.AsOf
	text, err := json.MarshalIndent(k.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", manifestName, err)
	}
	k.files[manifestName] = append(text, '\n')
	page, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return fmt.Errorf("open the page: %w", err)
	}
	return fs.WalkDir(page, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(page, name)
		if name == "README.txt" {
			content = k.readme(content)
		}
		k.files[name] = content
		return err
	})
}

// readme fills in what differs from kit to kit.
func (k *making) readme(text []byte) []byte {
	asOf := "there is no signed list yet"
	if !k.manifest.AsOf.IsZero() {
		asOf = k.manifest.AsOf.Format("2 January 2006, 15:04:05 UTC")
	}
	return []byte(strings.NewReplacer("{server}", k.manifest.Server, "{as_of}", asOf).Replace(string(text)))
}

func (k *making) warn(format string, args ...any) {
	k.result.Warnings = append(k.result.Warnings, fmt.Sprintf(format, args...))
}

// organisation adds what is of one organisation; nothing when it has never sealed.
func (k *making) organisation(ctx context.Context, o templates.Organisation) error {
	lists, err := k.Desk.StatusLists(ctx, o.ID)
	if err != nil {
		return err
	}
	samples, err := k.Desk.SealSamples(ctx, o.ID)
	if err != nil || len(lists)+len(samples) == 0 {
		return err
	}
	out := Organisation{Slug: o.Slug, Name: map[string]string{}, Certificates: []Certificate{}, Lists: []List{}, Revocation: []string{}}
	maps.Copy(out.Name, o.Name)
	known := map[string]Certificate{}
	for _, sample := range samples {
		if err := k.seal(&out, known, sample); err != nil {
			return fmt.Errorf("credential %s: %w", sample.ID, err)
		}
	}
	for _, l := range lists {
		list, chains, err := k.list(ctx, o.ID, l)
		if err != nil {
			return fmt.Errorf("status list %s: %w", l.ID, err)
		}
		if list == nil {
			k.warn("status list %s of %s is not in it: it was not signed yet", l.ID, o.Slug)
			continue
		}
		for _, chain := range chains {
			k.certificate(known, chain, nil)
		}
		out.Lists = append(out.Lists, *list)
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		out.Certificates = append(out.Certificates, known[id])
	}
	slices.Sort(out.Revocation)
	out.Revocation = slices.Compact(out.Revocation)
	k.manifest.Organisations = append(k.manifest.Organisations, out)
	return nil
}

// seal adds the certificates of a key, and what came with its seals.
func (k *making) seal(out *Organisation, known map[string]Certificate, sample issuance.Credential) error {
	file, err := jades.Parse(sample.Sealed)
	if err != nil {
		return err
	}
	seal := file.Signatures[0]
	if seal.Leaf() == nil {
		return fmt.Errorf("%w: it has no certificate", jades.ErrKey)
	}
	values := seal.Values()
	k.certificate(known, seal.Chain, values.Certificates)
	for ending, list := range map[string][][]byte{".ocsp": values.OCSP, ".crl": values.CRLs} {
		for _, der := range list {
			sum := sha256.Sum256(der)
			name := "revocation/" + hex.EncodeToString(sum[:]) + ending
			k.files[name] = der
			out.Revocation = append(out.Revocation, name)
		}
	}
	return nil
}

// certificate adds a certificate with its chain, as far as it is known.
func (k *making) certificate(known map[string]Certificate, chain, more []*x509.Certificate) {
	c := describe(chain[0])
	var text bytes.Buffer
	for _, link := range complete(chain, slices.Concat(more, k.Anchors)) {
		// Writing to a buffer does not fail.
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: link.Raw})
	}
	if have := k.files[c.File]; text.Len() > len(have) { // the longest chain that some seal came with
		k.files[c.File] = text.Bytes()
	}
	known[c.SHA256] = c
}

// complete continues a chain with certificates that have issued its last one.
func complete(chain, more []*x509.Certificate) []*x509.Certificate {
	out := slices.Clone(chain)
	for range 8 {
		last := out[len(out)-1]
		if bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		i := slices.IndexFunc(more, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		out = append(out, more[i])
	}
	return out
}

// list adds what is signed of a list, with the index as it was signed; nil when something of it was
// never signed.
func (k *making) list(ctx context.Context, organisationID string, l issuance.StatusList) (*List, [][]*x509.Certificate, error) {
	signed, err := k.Desk.SignedStatuses(ctx, organisationID, l.ID)
	if err != nil {
		return nil, nil, err
	}
	folder := "status/lists/" + l.ID + "/" // as on the server, so that the kit can take its place
	out := &List{
		ID: l.ID, Address: issuance.StatusAddress(k.PublicURL, l.ID, issuance.StatusToken),
		Token: folder + string(issuance.StatusToken), Revocation: folder + string(issuance.StatusRevocation), Suspension: folder + string(issuance.StatusSuspension),
		Index: "index/" + l.ID + "/index.jwt", Shards: "index/" + l.ID,
	}
	var chains [][]*x509.Certificate
	for _, kind := range issuance.StatusKinds() {
		text, found := signed[kind]
		if !found {
			return nil, nil, nil
		}
		read := status.ReadBitstring
		if kind == issuance.StatusToken {
			read = status.ReadToken
			out.SignedAt, out.ValidUntil = text.SignedAt.UTC(), text.ExpiresAt.UTC()
		}
		list, err := read(text.File, status.Options{URI: issuance.StatusAddress(k.PublicURL, l.ID, kind)})
		if err != nil {
			return nil, nil, fmt.Errorf("the kind %s: %w", kind, err)
		}
		chains = append(chains, list.Chain)
		k.files[folder+string(kind)] = text.File
	}
	chain, err := k.index(ctx, organisationID, out, signed[issuance.StatusIndex].File)
	if err != nil {
		return nil, nil, err
	}
	if chain != nil {
		chains = append(chains, chain)
	}
	k.late(l, out, chain != nil)
	if out.SignedAt.After(k.manifest.AsOf) {
		k.manifest.AsOf = out.SignedAt
	}
	k.result.Lists++
	k.result.Entries += out.Credential
	return out, chains, nil
}

// late warns of what was done after list and index were signed: who builds the last kit of a server
// has to wait for it.
func (k *making) late(l issuance.StatusList, out *List, indexed bool) {
	if young := l.Given - out.Credential; indexed && young > 0 {
		k.warn("%d of the credentials of status list %s are not in its index yet: it learns of new ones within two hours; build the kit again then", young, l.ID)
	}
	if l.Behind > 0 {
		k.warn("status list %s does not tell of the last withdrawals yet: it is signed within seconds while a server or a worker runs with its token; build the kit again then", l.ID)
	}
}

// index adds the signed index of a list with its shards, made anew from the rows. When they do not
// come out as they were signed, the kit has none of this list rather than one that nobody signed.
func (k *making) index(ctx context.Context, organisationID string, l *List, text []byte) ([]*x509.Certificate, error) {
	if text == nil {
		l.Index = ""
		k.warn("the index of status list %s is not in it: it was not signed yet", l.ID)
		return nil, nil
	}
	signed, err := status.ReadIndex(text, status.Options{URI: l.Address})
	if err != nil {
		return nil, fmt.Errorf("the index: %w", err)
	}
	places, err := k.Desk.Places(ctx, organisationID, l.ID, signed.Until)
	if err != nil {
		return nil, err
	}
	x := status.NewIndex(places)
	shards := x.Shards()
	fits := len(shards) == len(signed.Names()) && x.Digits == signed.Digits
	for name, shard := range shards {
		fits = fits && signed.Check(name, shard) == nil
	}
	if !fits {
		l.Index = ""
		k.warn("the index of status list %s is not in it: the places have changed since it was signed; it is signed anew within twelve hours", l.ID)
		return nil, nil
	}
	k.files[l.Index] = text
	for name, shard := range shards {
		k.files[shardFile(l.Shards, name)] = shard
	}
	l.Covers, l.Credential = signed.Until, signed.Entries
	return signed.Chain, nil
}

// sums is SHA256SUMS, in the form that sha256sum --check reads.
func sums(files map[string][]byte) []byte {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return out.Bytes()
}
