package demolms_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

func signatureTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.LoginNoIssuer: lacks("iss"), demolms.LoginNoClientID: lacks("client_id"), demolms.LoginNoHint: lacks("login_hint"),
		demolms.LoginNoMessageHint: lacks("lti_message_hint"),
		demolms.LoginWrongIssuer:   sends("iss", issuerSlash),
		demolms.LoginForeignTarget: sends("target_link_uri", constant("https://elsewhere.example/launch")),
		demolms.LoginWrongDeploy:   sends("lti_deployment_id", constant("no-such-deployment")),
		demolms.LoginLTI11:         sends("lti_message_type", constant("basic-lti-launch-request")),
		demolms.LaunchLinkHistory: claims(func(t *testing.T, b *bench, c map[string]any) {
			t.Helper()
			custom, _ := c[claimNS+"custom"].(map[string]any)
			if custom["links"] != "" {
				t.Errorf("custom %v", custom)
			}
		}),
		demolms.TokenNoKid:    badSignature("kid", nil),
		demolms.TokenWrongKid: badSignature("kid", "no-such-key"),
		demolms.TokenAlgNone:  badSignature("alg", "none"),
		demolms.TokenHS256:    badSignature("alg", "HS256"),
		demolms.TokenOtherKey: badSignature("alg", "RS256"),
		demolms.TokenTampered: badSignature("alg", "RS256"),
		demolms.TokenCrit:     header("crit", []string{"urn:example:must-understand"}),
		demolms.TokenType:     header("typ", "at+jwt"),
		demolms.TokenJSON: response(func(t *testing.T, b *bench, f url.Values) {
			t.Helper()
			if err := b.signature(f.Get("id_token")); err != nil || !json.Valid([]byte(f.Get("id_token"))) {
				t.Errorf("%.60s: %v", f.Get("id_token"), err)
			}
		}),
		demolms.TokenWhitespace: response(func(t *testing.T, _ *bench, f url.Values) {
			t.Helper()
			if got := f.Get("id_token"); !strings.HasPrefix(got, " ") || !strings.HasSuffix(got, "\n") {
				t.Errorf("token %.20q", got)
			}
		}),
	}
}

func claimTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.TokenWrongIss:           claim("iss", "https://another-lms.example"),
		demolms.TokenWrongAud:           claim("aud", "a-tool-that-is-not-you"),
		demolms.TokenAudStranger:        claim("aud", []string{client, "a-tool-that-is-not-you"}),
		demolms.TokenAudEmpty:           claim("aud", []string{}),
		demolms.TokenWrongAzp:           claim("azp", "a-tool-that-is-not-you"),
		demolms.TokenExpired:            seconds("exp", -10*time.Minute),
		demolms.TokenIatFuture:          seconds("iat", 11*time.Minute),
		demolms.TokenIatOld:             seconds("iat", -24*time.Hour),
		demolms.TokenFarExp:             seconds("exp", 100*365*24*time.Hour+time.Minute),
		demolms.TokenNoExp:              claim("exp", nil),
		demolms.TokenNoIat:              claim("iat", nil),
		demolms.TokenNoNonce:            claim("nonce", nil),
		demolms.TokenWrongNonce:         claim("nonce", "never-issued"),
		demolms.TokenNoSub:              claim("sub", nil),
		demolms.TokenNoNames:            claim("email", nil),
		demolms.TokenWrongDeployment:    claim(claimNS+"deployment_id", "no-such-deployment"),
		demolms.TokenNoDeployment:       claim(claimNS+"deployment_id", nil),
		demolms.TokenWrongVersion:       claim(claimNS+"version", "11.3"),
		demolms.TokenNoVersion:          claim(claimNS+"version", nil),
		demolms.TokenNoMessageType:      claim(claimNS+"message_type", nil),
		demolms.TokenUnknownMessageType: claim(claimNS+"message_type", "LtiSomethingElseRequest"),
		demolms.TokenNoRoles:            claim(claimNS+"roles", nil),
		demolms.TokenEmptyRoles:         claim(claimNS+"roles", []string{}),
		demolms.TokenUnknownRole:        claim(claimNS+"roles", []string{"https://roles.example/vocab#Visitor"}),
		demolms.TokenTestUser:           claim(claimNS+"roles", []string{"http://purl.imsglobal.org/vocab/lis/v2/membership#Learner", "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"}),
		demolms.TokenNoResourceLink:     claim(claimNS+"resource_link", nil),
		demolms.TokenNoContext:          claim(claimNS+"context", nil),
		demolms.TokenNoLTI:              claim(claimNS+"version", nil),
		demolms.TokenNoGrades:           claim("https://purl.imsglobal.org/spec/lti-ags/claim/endpoint", nil),
		demolms.TokenCustomList:         claim(claimNS+"custom", []string{}),
		demolms.TokenCustomLong:         claim(claimNS+"custom", map[string]string{"long": strings.Repeat("x", 4096)}),
		demolms.TokenForeignLineItem: claims(func(t *testing.T, _ *bench, c map[string]any) {
			t.Helper()
			ags, _ := c["https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"].(map[string]any)
			if ags["lineitems"] != "https://elsewhere.example"+lineItems {
				t.Errorf("endpoint %v", ags)
			}
		}),
		demolms.TokenBadReturn: claims(func(t *testing.T, _ *bench, c map[string]any) {
			t.Helper()
			p, _ := c[claimNS+"launch_presentation"].(map[string]any)
			if p["return_url"] != "javascript:alert(1)" {
				t.Errorf("presentation %v", p)
			}
		}),
	}
}

func posted(name, want string, others ...string) knobTest {
	return response(func(t *testing.T, _ *bench, f url.Values) {
		t.Helper()
		if f.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, f.Get(name), want)
		}
		for _, o := range others {
			if f.Has(o) {
				t.Errorf("%s is posted", o)
			}
		}
	})
}

func responseTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.ResponseTwoTokens: response(func(t *testing.T, _ *bench, f url.Values) {
			t.Helper()
			if len(f["id_token"]) != 2 {
				t.Errorf("%d tokens", len(f["id_token"]))
			}
		}),
		demolms.ResponseNoToken:      posted("state", "the-state", "id_token"),
		demolms.ResponseLTI11:        posted("lti_message_type", "basic-lti-launch-request", "id_token", "state"),
		demolms.ResponseNoState:      posted("state", "", "state", "error"),
		demolms.ResponseAlteredState: posted("state", "xTHE-STATE", "error"),
		demolms.ResponseError:        posted("error", "login_required", "id_token"),
		demolms.ResponseErrorMarkup:  posted("error_description", `Your session <script>alert("x")</script> & "more"`, "id_token"),
		demolms.ResponseReplay: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			a, _ := b.place()
			b.get("/as/maija")
			_, good := b.launch("/launch/" + a.ID)
			b.clock.Add(time.Minute)
			_, again := b.launch("/launch/" + a.ID + "?fault=" + string(k))
			if again.Get("id_token") != good.Get("id_token") || again.Get("state") != good.Get("state") {
				t.Error("another response was posted")
			}
		},
		demolms.DeepLinkNoReturn:      setting("deep_link_return_url", nil),
		demolms.DeepLinkForeignReturn: setting("deep_link_return_url", "https://elsewhere.example/launch"),
		demolms.DeepLinkOtherType:     setting("accept_types", []string{"file", "link"}),
		demolms.DeepLinkSingle:        setting("accept_multiple", nil),
		demolms.DeepLinkNoLineItem:    setting("accept_lineitem", false),
		demolms.DeepLinkNoSettings: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			if c, _ := b.selection("?fault=" + string(k)); c[dlNS+"deep_linking_settings"] != nil {
				t.Error("settings are sent")
			}
		},
		demolms.DeepLinkLearner: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			c, _ := b.selection("?fault=" + string(k))
			if !equalJSON(c[claimNS+"roles"], []string{"http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"}) {
				t.Errorf("roles %v", c[claimNS+"roles"])
			}
		},
		demolms.DeepLinkData: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			c, address := b.selection("?fault=" + string(k))
			s, _ := c[dlNS+"deep_linking_settings"].(map[string]any)
			reply := b.answerClaims()
			if got := b.answer(address, reply); got.Status != http.StatusBadRequest {
				t.Errorf("without data: %d", got.Status)
			}
			reply[dlNS+"data"] = s["data"]
			if got := b.answer(address, reply); got.Status != http.StatusOK || s["data"] == nil {
				t.Errorf("with data: %d", got.Status)
			}
		},
	}
}

func serviceTests() map[demolms.Knob]knobTest {
	resultsPath := func(b *bench) string { return below(b.LineItems("2")[0], "/results") }
	return map[demolms.Knob]knobTest{
		demolms.JWKSError: calls(certs, status(500)),
		demolms.JWKSHTML:  calls(certs, isHTML),
		demolms.JWKSHuge:  calls(certs, isHuge),
		demolms.JWKSSlow:  slow(certs, constant("/mod/lti/certs.php")),
		demolms.JWKSEmpty: keys(func(t *testing.T, k []map[string]any) {
			t.Helper()
			if len(k) != 0 {
				t.Errorf("%d keys", len(k))
			}
		}),
		demolms.JWKSNoAlg: keys(func(t *testing.T, k []map[string]any) {
			t.Helper()
			if len(k) != 1 || k[0]["alg"] != nil {
				t.Errorf("keys %v", k)
			}
		}),
		demolms.JWKSMixed: keys(func(t *testing.T, k []map[string]any) {
			t.Helper()
			if len(k) != 3 || k[1]["alg"] != "RS256" || k[2]["kty"] != "LATTICE" {
				t.Errorf("keys %v", k)
			}
		}),
		demolms.JWKSOtherKeys: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			good := certs(b).Body
			turn(t, b, k)
			if other := certs(b); other.Body == good || !strings.Contains(other.Body, `"kty":"RSA"`) {
				t.Errorf("keys %s", other.Body)
			}
		},
		demolms.EndpointError:  calls(endpoint, status(500)),
		demolms.EndpointHTML:   calls(endpoint, isHTML),
		demolms.EndpointDenied: calls(endpoint, status(401)),
		demolms.EndpointSlow:   slow(endpoint, constant("/mod/lti/token.php")),
		demolms.EndpointFewScopes: calls(endpoint, func(t *testing.T, a answer) {
			t.Helper()
			if got := decode[map[string]any](t, a)["scope"]; got != agsNS+"score" {
				t.Errorf("scope %v", got)
			}
		}),
		demolms.ResultsError:     calls(resultsOf, status(500)),
		demolms.ResultsHTML:      calls(resultsOf, isHTML),
		demolms.ResultsForbidden: calls(resultsOf, status(403)),
		demolms.ResultsHuge:      calls(resultsOf, isHuge),
		demolms.ResultsSlow:      slow(resultsOf, resultsPath),
		demolms.ResultsBusy: calls(resultsOf, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" {
				t.Errorf("status %d, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
			}
		}),
		demolms.ResultsGarbage: calls(resultsOf, func(t *testing.T, a answer) {
			t.Helper()
			if a.Status != http.StatusOK || json.Valid([]byte(a.Body)) {
				t.Errorf("status %d, body %s", a.Status, a.Body)
			}
		}),
		demolms.ResultsOdd: calls(resultsOf, func(t *testing.T, a answer) {
			t.Helper()
			rows := decode[[]map[string]any](t, a)
			if len(rows) != 5 || rows[0]["resultScore"] != -5.0 || rows[1]["resultScore"] != "85" || rows[4]["userId"] != nil {
				t.Errorf("rows %v", rows)
			}
		}),
		demolms.ResultsDenied: func(t *testing.T, b *bench, k demolms.Knob) {
			t.Helper()
			_, item := b.place()
			turn(t, b, k)
			token, err := b.IssueToken(client, agsNS+"result.readonly")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"first", "again with the forgotten token"} {
				if got := b.do(b.browser, http.MethodGet, below(item, "/results"), "", "Authorization", "Bearer "+token); got.Status != http.StatusUnauthorized {
					t.Errorf("%s: %d", want, got.Status)
				}
			}
			status(http.StatusOK)(t, resultsOf(b))
		},
		demolms.LineItemsError: calls(func(b *bench) answer { return b.service(http.MethodGet, lineItems, "") }, status(500)),
		demolms.ScoresError: calls(func(b *bench) answer {
			return b.service(http.MethodPost, below(b.LineItems("2")[0], "/scores"), score("7", 1, 1, b.clock.Now()), "Content-Type", scoreType)
		}, status(500)),
	}
}
