package demolms_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// knobTest checks that a knob does what its sentence says. Each gets a bench
// on which nothing has been turned yet.
type knobTest func(t *testing.T, b *bench, k demolms.Knob)

// initiation compares the login initiation under a fault.
func initiation(check func(t *testing.T, b *bench, f url.Values)) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		a, _ := b.place()
		b.get("/as/maija")
		_, f := b.begin("/launch/" + a.ID + "?fault=" + string(k))
		check(t, b, f)
	}
}

func lacks(name string) knobTest {
	return initiation(func(t *testing.T, _ *bench, f url.Values) {
		t.Helper()
		if f.Has(name) || len(f) != 5 {
			t.Errorf("initiation %v", f)
		}
	})
}

func sends(name string, want func(b *bench) string) knobTest {
	return initiation(func(t *testing.T, b *bench, f url.Values) {
		t.Helper()
		if got := f.Get(name); got != want(b) || got == "" {
			t.Errorf("%s is %q", name, got)
		}
	})
}

// response checks what is posted to the tool.
func response(check func(t *testing.T, b *bench, f url.Values)) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		a, _ := b.place()
		b.get("/as/maija")
		_, f := b.launch("/launch/" + a.ID + "?fault=" + string(k))
		check(t, b, f)
	}
}

// claim checks one claim of a token that verifies nevertheless.
func claim(name string, want any) knobTest {
	return claims(func(t *testing.T, _ *bench, c map[string]any) {
		t.Helper()
		got, there := c[name]
		if want == nil && there {
			t.Errorf("%s is %v, want none", name, got)
		}
		if want != nil && !equalJSON(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	})
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// claims checks a token whose signature is good.
func claims(check func(t *testing.T, b *bench, c map[string]any)) knobTest {
	return response(func(t *testing.T, b *bench, f url.Values) {
		t.Helper()
		if err := b.signature(f.Get("id_token")); err != nil {
			t.Fatalf("the signature is wrong too: %v", err)
		}
		check(t, b, payload(t, f.Get("id_token")))
	})
}

// signature checks only the signature.
func (b *bench) signature(compact string) error {
	set, err := jwk.Parse([]byte(b.get("/mod/lti/certs.php").Body))
	if err != nil {
		return err
	}
	_, err = jws.Verify([]byte(compact), jws.WithKeySet(set))
	return err
}

func badSignature(headerName string, want any) knobTest {
	return response(func(t *testing.T, b *bench, f url.Values) {
		t.Helper()
		if err := b.signature(f.Get("id_token")); err == nil {
			t.Error("the token verifies")
		}
		if got := part(t, f.Get("id_token"), 0)[headerName]; !equalJSON(got, want) {
			t.Errorf("header %s is %v, want %v", headerName, got, want)
		}
	})
}

func header(name string, want any) knobTest {
	return response(func(t *testing.T, _ *bench, f url.Values) {
		t.Helper()
		if got := part(t, f.Get("id_token"), 0)[name]; !equalJSON(got, want) {
			t.Errorf("header %s is %v, want %v", name, got, want)
		}
	})
}

// settings checks the deep linking settings of a request.
func settings(check func(t *testing.T, b *bench, s map[string]any)) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		c, _ := b.selection("?fault=" + string(k))
		s, _ := c[dlNS+"deep_linking_settings"].(map[string]any)
		check(t, b, s)
	}
}

func setting(name string, want any) knobTest {
	return settings(func(t *testing.T, _ *bench, s map[string]any) {
		t.Helper()
		got, there := s[name]
		if (want == nil && there) || (want != nil && !equalJSON(got, want)) || s == nil {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	})
}

// calls turns a knob by its default and checks the answer of an endpoint.
func calls(call func(b *bench) answer, check func(t *testing.T, a answer)) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		b.place()
		turn(t, b, k)
		check(t, call(b))
	}
}

func turn(t *testing.T, b *bench, k demolms.Knob) {
	t.Helper()
	for _, info := range demolms.Knobs() {
		if info.Knob == k {
			if err := b.Set(k, info.Default); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func certs(b *bench) answer { return b.get("/mod/lti/certs.php") }

func endpoint(b *bench) answer { return b.requestToken(agsNS+"result.readonly", agsNS+"score") }

func resultsOf(b *bench) answer {
	items := b.LineItems("2")
	return b.service(http.MethodGet, below(items[0], "/results"), "", "Accept", resultType)
}

func status(want int) func(*testing.T, answer) {
	return func(t *testing.T, a answer) {
		t.Helper()
		if a.Status != want {
			t.Errorf("status %d, want %d", a.Status, want)
		}
	}
}

func isHTML(t *testing.T, a answer) {
	t.Helper()
	if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, "<!DOCTYPE html>") {
		t.Errorf("status %d, body %.60s", a.Status, a.Body)
	}
}

func isHuge(t *testing.T, a answer) {
	t.Helper()
	if a.Status != http.StatusOK || len(a.Body) < 9<<20 || !json.Valid([]byte(a.Body)) {
		t.Errorf("status %d, %d bytes", a.Status, len(a.Body))
	}
}

// slow checks that an answer does not come before the client gives up, and
// that a duration is obeyed.
func slow(call func(b *bench) answer, path func(b *bench) string) knobTest {
	return func(t *testing.T, b *bench, k demolms.Knob) {
		t.Helper()
		b.place()
		if err := b.Set(k, demolms.On); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Issuer()+path(b), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.browser.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an answer came: %v", err)
		}
		if err := b.Set(k, "1ms"); err != nil {
			t.Fatal(err)
		}
		if got := call(b); got.Status != http.StatusOK {
			t.Errorf("after the delay: %d", got.Status)
		}
	}
}

func keys(check func(t *testing.T, keys []map[string]any)) knobTest {
	return calls(certs, func(t *testing.T, a answer) {
		t.Helper()
		check(t, decode[struct{ Keys []map[string]any }](t, a).Keys)
	})
}

func issuerSlash(b *bench) string { return b.Issuer() + "/" }

func constant(s string) func(*bench) string { return func(*bench) string { return s } }

func seconds(name string, from time.Duration) knobTest {
	return claims(func(t *testing.T, b *bench, c map[string]any) {
		t.Helper()
		if got, want := c[name], float64(b.clock.Now().Add(from).Unix()); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	})
}

func TestEveryKnobDoesWhatItSays(t *testing.T) {
	t.Parallel()
	tests := map[demolms.Knob]knobTest{}
	for _, set := range []map[demolms.Knob]knobTest{registrationTests(), noticeTests(), storageTests(), pagingTests(), memberTests(), messageTests(), agsTests(), formTests(), jwksTests(), loginTests(), moreResponseTests(), moreClaimTests(), moreLTITests(), signatureTests(), claimTests(), responseTests(), serviceTests()} {
		maps.Copy(tests, set)
	}
	seen := map[demolms.Knob]bool{}
	for _, info := range demolms.Knobs() {
		if seen[info.Knob] {
			t.Errorf("%s stands twice in the table", info.Knob)
		}
		seen[info.Knob] = true
		if !strings.HasSuffix(info.Effect, ".") || info.Default == demolms.Off || info.Area == "" {
			t.Errorf("%s is not described: %+v", info.Knob, info)
		}
		test, ok := tests[info.Knob]
		if !ok {
			t.Errorf("%s has no test", info.Knob)
			continue
		}
		t.Run(string(info.Knob), func(t *testing.T) {
			t.Parallel()
			test(t, setup(t), info.Knob)
		})
	}
	for k := range tests {
		if !seen[k] {
			t.Errorf("%s is tested and not in the table", k)
		}
	}
}

func TestSetOnceAndReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	sub := func() any {
		_, f := b.launch("/launch/" + a.ID)
		return payload(t, f.Get("id_token"))["sub"]
	}
	if err := b.Set(demolms.TokenNoSub, demolms.Once); err != nil {
		t.Fatal(err)
	}
	if got := []any{sub(), sub()}; got[0] != nil || got[1] != "7" {
		t.Errorf("once: %v", got)
	}
	if err := b.Set(demolms.TokenNoSub, demolms.On); err != nil {
		t.Fatal(err)
	}
	if got := []any{sub(), sub()}; got[0] != nil || got[1] != nil || b.Get(demolms.TokenNoSub) != demolms.On {
		t.Errorf("on: %v", got)
	}
	b.Reset()
	if got := sub(); got != "7" {
		t.Errorf("after Reset: %v", got)
	}
	for k, v := range map[demolms.Knob]demolms.Value{"no-such-knob": demolms.On, demolms.TokenNoSub: "5s", demolms.JWKSSlow: "soon"} {
		if err := b.Set(k, v); !errors.Is(err, demolms.ErrUnknownKnob) {
			t.Errorf("%s = %s: %v", k, v, err)
		}
	}
}

func TestFaultOfAServiceInALaunchAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, _ := b.place()
	b.get("/as/maija")
	b.launch("/launch/" + a.ID + "?fault=results-401")
	if got := b.Get(demolms.ResultsDenied); got != demolms.Once {
		t.Errorf("results-401 is %q", got)
	}
}

func TestKnobsPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get("/knobs")
	for _, info := range demolms.Knobs() {
		if !strings.Contains(page.Body, `name="`+string(info.Knob)+`"`) {
			t.Errorf("%s is not on the page", info.Knob)
		}
	}
	if got := b.post("/knobs", url.Values{"jwks-slow": {"2s"}, "token-expired": {"once"}}); got.Status != http.StatusOK || !strings.Contains(got.Body, "2 knobs are turned") {
		t.Errorf("status %d:\n%s", got.Status, got.Body)
	}
	if b.Get(demolms.JWKSSlow) != "2s" || b.Get(demolms.TokenExpired) != demolms.Once {
		t.Error("the knobs were not turned")
	}
	b.post("/knobs", url.Values{"jwks-slow": {""}})
	if b.Get(demolms.JWKSSlow) != demolms.Off || b.Get(demolms.TokenExpired) != demolms.Once {
		t.Error("one knob was to be turned off")
	}
	if got := b.post("/knobs", url.Values{"nonsense": {"on"}}); got.Status != http.StatusBadRequest {
		t.Errorf("unknown knob: %d", got.Status)
	}
	b.post("/knobs", url.Values{"reset": {"1"}})
	if on := slices.ContainsFunc(demolms.Knobs(), func(i demolms.KnobInfo) bool { return b.Get(i.Knob) != demolms.Off }); on {
		t.Error("a knob is still on")
	}
}
