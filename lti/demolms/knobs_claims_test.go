package demolms_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti/demolms"
)

// holds checks the claims of a good token by a condition.
func holds(check func(c map[string]any) bool) knobTest {
	return claims(func(t *testing.T, _ *bench, c map[string]any) {
		t.Helper()
		if !check(c) {
			t.Errorf("claims %.2000v", c)
		}
	})
}

// inside is a member of a claim that is an object.
func inside(c map[string]any, claim, name string) any {
	m, _ := c[claimNS+claim].(map[string]any)
	return m[name]
}

func moreClaimTests() map[demolms.Knob]knobTest {
	return map[demolms.Knob]knobTest{
		demolms.TokenAudAzp: holds(func(c map[string]any) bool {
			return equalJSON(c["aud"], []string{"a-tool-that-is-not-you", client}) && c["azp"] == client
		}),
		demolms.TokenAudNumber:   claim("aud", 42),
		demolms.TokenJustExpired: seconds("exp", -30*time.Second),
		demolms.TokenTextExp:     claim("exp", "4102444800"),
		demolms.TokenIatSoon:     seconds("iat", 30*time.Second),
		demolms.TokenNbfFuture:   seconds("nbf", 11*time.Minute),
		demolms.TokenFloatIat: holds(func(c map[string]any) bool {
			iat, _ := c["iat"].(float64)
			return iat != float64(int64(iat))
		}),
		demolms.TokenNumberNonce: claim("nonce", 42),
		demolms.TokenEmptySub:    claim("sub", ""),
		demolms.TokenLongSub:     claim("sub", strings.Repeat("7", 256)),
		demolms.TokenControlSub:  claim("sub", "7\r\nX: \a"),
		demolms.TokenNumberSub:   claim("sub", 7),
		demolms.TokenExtraClaims: claim("https://extra.example/object", map[string]bool{"a": true}),
		demolms.TokenWrongTypes: holds(func(c map[string]any) bool {
			lis, there := c[claimNS+"lis"]
			return c[claimNS+"context"] == "2" && lis == nil && there && equalJSON(c[claimNS+"launch_presentation"], []string{})
		}),
		demolms.TokenNamesOnly: holds(func(c map[string]any) bool { return c["email"] == nil && c["name"] != nil }),
		demolms.TokenEmailOnly: holds(func(c map[string]any) bool { return c["email"] != nil && c["name"] == nil && c["family_name"] == nil }),
		demolms.TokenNastyName: holds(func(c map[string]any) bool {
			name, _ := c["name"].(string)
			return strings.Contains(name, "<script>") && strings.Contains(name, "\u202e") && strings.Contains(name, strings.Repeat("\u0301", 40))
		}),
		demolms.TokenLongName: claim("name", strings.Repeat("Ä", 100000)),
		demolms.TokenControlName: holds(func(c map[string]any) bool {
			return c["name"] == "Maija\x00 Meik\u0007" && inside(c, "resource_link", "title") == "Re\x00cord"
		}),
		demolms.TokenBadEmail:   claim("email", "a@b.example\r\nBcc: everybody@b.example"),
		demolms.TokenBadPicture: claim("picture", "javascript:alert(1)"),
	}
}

func moreLTITests() map[demolms.Knob]knobTest {
	const membership = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
	ns := func(name string, want any) knobTest { return claim(claimNS+name, want) }
	has := func(name, member string, want any) knobTest {
		return holds(func(c map[string]any) bool { return inside(c, name, member) == want })
	}
	endpoint := func(check func(ags map[string]any) bool) knobTest {
		return holds(func(c map[string]any) bool {
			ags, ok := c[agsClaim].(map[string]any)
			return ok && check(ags)
		})
	}
	return map[demolms.Knob]knobTest{
		demolms.TokenVersionNumber:     ns("version", 1.3),
		demolms.TokenMessageTypeCase:   ns("message_type", "ltiresourcelinkrequest"),
		demolms.TokenProctoring:        ns("message_type", "LtiStartProctoring"),
		demolms.TokenEmptyDeployment:   ns("deployment_id", ""),
		demolms.TokenLongDeployment:    ns("deployment_id", strings.Repeat("1", 256)),
		demolms.TokenNumberDeployment:  ns("deployment_id", 1),
		demolms.TokenEmptyResourceLink: has("resource_link", "id", ""),
		demolms.TokenLongResourceLink:  has("resource_link", "id", strings.Repeat("1", 256)),
		demolms.TokenShortRole:         ns("roles", []string{"Learner"}),
		demolms.TokenBothRoles:         ns("roles", []string{membership + "Learner", membership + "Instructor"}),
		demolms.TokenRoleText:          ns("roles", membership+"Instructor"),
		demolms.TokenHTTPSRole:         ns("roles", []string{"https" + strings.TrimPrefix(membership, "http") + "Instructor"}),
		demolms.TokenInstitutionRole:   ns("roles", []string{"http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"}),
		demolms.TokenMentor: holds(func(c map[string]any) bool {
			return equalJSON(c[claimNS+"roles"], []string{membership + "Mentor"}) && equalJSON(c[claimNS+"role_scope_mentor"], []string{"8"})
		}),
		demolms.TokenForeignTarget: ns("target_link_uri", "https://elsewhere.example/launch"),
		demolms.TokenNoTarget:      ns("target_link_uri", nil),
		demolms.TokenMarkupTitles: holds(func(c map[string]any) bool {
			title, _ := inside(c, "resource_link", "title").(string)
			label, _ := inside(c, "context", "label").(string)
			return strings.Contains(title, "<script>") && strings.Contains(label, "onclick")
		}),
		demolms.TokenUnexpanded:    has("custom", "attachment", "$Person.name.full"),
		demolms.TokenCustomAttack:  has("custom", "attachment", "../../etc/passwd' OR 1=1 --"),
		demolms.TokenForeignReturn: has("launch_presentation", "return_url", "https://elsewhere.example/launch"),
		demolms.TokenBadLocale:     has("launch_presentation", "locale", "xx_YY'\""),
		demolms.TokenWindowInFrame: has("launch_presentation", "document_target", "window"),
		demolms.TokenCustomTypes: holds(func(c map[string]any) bool {
			custom, _ := c[claimNS+"custom"].(map[string]any)
			nothing, there := custom["nothing"]
			return custom["number"] == 42.0 && custom["yes"] == true && there && nothing == nil && custom["attachment"] == "a-1"
		}),
		demolms.TokenNoLineItems: endpoint(func(ags map[string]any) bool {
			return ags["lineitem"] == nil && ags["lineitems"] == nil && ags["scope"] != nil
		}),
		demolms.TokenScopeText: endpoint(func(ags map[string]any) bool { return ags["scope"] == agsNS+"result.readonly" }),
	}
}

func TestCasesAreShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := b.get("/knobs").Body
	cases := map[string]bool{}
	for _, info := range demolms.Knobs() {
		for c := range strings.FieldsSeq(info.Cases) {
			cases[c] = true
			if !strings.ContainsAny(c[:1], "LEJKCMDSRPN") || !strings.Contains(page, c) {
				t.Errorf("%s: case %s", info.Knob, c)
			}
		}
	}
	if len(cases) < 140 {
		t.Errorf("only %d cases have a knob", len(cases))
	}
	t.Logf("%d cases by %d knobs", len(cases), len(demolms.Knobs()))
}
