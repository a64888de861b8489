package trustlist

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/issuance/trustlist/trustlisttest"
)

// fuzzed is a Dutch list with something of everything, and who signs it.
func fuzzed(tb testing.TB) (trustlisttest.List, trustlisttest.Party) {
	tb.Helper()
	ca := trustlisttest.NewAuthority(tb, "CA", "NL", nil)
	since := trustlisttest.Day(tb, "2024-01-01")
	criteria := `<e:CriteriaList assert="all"><e:KeyUsage><e:KeyUsageBit name="nonRepudiation">true</e:KeyUsageBit></e:KeyUsage><e:PolicySet><e:PolicyIdentifier><x:Identifier xmlns:x="http://uri.etsi.org/01903/v1.3.2#">urn:oid:1.2.3</x:Identifier></e:PolicyIdentifier></e:PolicySet></e:CriteriaList>`
	return trustlisttest.List{
		Territory: "NL", Sequence: 7, Issued: trustlisttest.Day(tb, "2026-11-01"), NextUpdate: trustlisttest.Day(tb, "2027-05-01"),
		Services: []trustlisttest.Service{{
			Type: trustlisttest.CA, Provider: "Polder Trust", Name: "Seals", Certificates: []*x509.Certificate{ca.Certificate}, Raw: []byte("x"), SKI: []byte{1},
			States: []trustlisttest.State{{Since: since, Status: "granted", Additional: []string{"ForeSeals"}, Extensions: trustlisttest.Qualification(criteria, "QCForESeal")}, {Since: since.AddDate(-1, 0, 0), Status: "withdrawn"}},
		}},
	}, trustlisttest.NewSigner(tb, "Supervisor", false)
}

// FuzzParse: what is read at all can be kept and read again, as it was.
func FuzzParse(f *testing.F) {
	list, _ := fuzzed(f)
	xml := list.XML()
	f.Add([]byte(xml))
	f.Add([]byte(strings.ReplaceAll(xml, "CriteriaList", "Description")))
	f.Add([]byte(strings.Replace(xml, "EUgeneric", "EUlistofthelists", 1)))
	list.Territory, list.Pointers = "EU", []trustlisttest.Pointer{{Territory: "NL"}}
	f.Add([]byte(list.XML()))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parse(data)
		if guard(data) != nil || err != nil {
			return
		}
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var again List
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("written, but not read: %v\n%s", err, text)
		}
		twice, err := json.Marshal(&again)
		if err != nil || !bytes.Equal(text, twice) {
			t.Errorf("%v: read again as\n%s\nafter\n%s", err, twice, text)
		}
	})
}

// TestAdmitComparesClaims: what was signed must be what a file was taken for.
func TestAdmitComparesClaims(t *testing.T) {
	t.Parallel()
	list, signer := fuzzed(t)
	c, err := peek(File{XML: list.Sign(t, signer)})
	if err != nil {
		t.Fatal(err)
	}
	c.claimed.Territory = "EL"
	if l, err := c.admit([]*x509.Certificate{signer.Certificate}); l != nil || !errors.Is(err, ErrSignature) {
		t.Errorf("%v, %v", l, err)
	}
}

// FuzzImport: without the key nobody gets anything in but what was signed.
func FuzzImport(f *testing.F) {
	list, signer := fuzzed(f)
	other := trustlisttest.NewSigner(f, "Commission", false)
	lotl := trustlisttest.List{
		Territory: "EU", Sequence: 1, Issued: trustlisttest.Day(f, "2026-10-01"), NextUpdate: trustlisttest.Day(f, "2027-04-01"),
		Pointers: []trustlisttest.Pointer{{Territory: "NL", Signers: []trustlisttest.Party{signer}}, {Territory: "EU", Signers: []trustlisttest.Party{other}}},
	}.Sign(f, other)
	now := func() time.Time { return time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC) }
	signed := list.Sign(f, signer)
	c, err := peek(File{XML: signed})
	if err != nil {
		f.Fatal(err)
	}
	want, err := c.admit([]*x509.Certificate{signer.Certificate})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(lotl)
	f.Add(bytes.Replace(signed, []byte("<ds:Object>"), []byte("<ds:Object>"+list.XML()), 1))
	f.Add([]byte(strings.Replace(list.XML(), "</TrustServiceStatusList>", string(signed[bytes.IndexByte(signed, '\n')+1:])+"</TrustServiceStatusList>", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "s")
		out, err := Import(path, Request{Now: now, Signers: []*x509.Certificate{other.Certificate}, Files: []File{{Name: "l", XML: lotl}, {Name: "f", XML: data}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if o.File != "f" || o.List == nil || o.List.Type == typeLOTL {
				continue
			}
			got := *o.List
			got.Digest = want.Digest // spaces around tags of the signature may differ
			if !reflect.DeepEqual(&got, want) {
				t.Errorf("not what was signed: %+v", got)
			}
		}
	})
}
