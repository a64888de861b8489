package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBrowserCookies measures which cookies come back with the POST of a launch, set by the
// answer to the login before: what the tool can rely on in a frame of another site and in
// a window of its own. It also proves that the browsers of the other tests are as strict
// as they say.
func TestBrowserCookies(t *testing.T) {
	t.Parallel()
	const none, one, both = "", "partitioned=1", "plain=1; partitioned=1"
	for _, test := range []struct {
		name          string
		frame, window string
		start         func(t *testing.T) *screen
	}{
		{"chromium blocks third parties", one, both, func(t *testing.T) *screen { return newChrome(t) }},
		{"chromium blocks this site in frames", none, both, func(t *testing.T) *screen { return newChrome(t, toolInFrames) }},
		{"firefox partitions third parties", both, both, func(t *testing.T) *screen { return newFirefox(t, partitionThirdParties) }},
		{"firefox blocks third parties", none, both, func(t *testing.T) *screen { return newFirefox(t, blockThirdParties) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, lms, launched := test.start(t), "", make(chan string, 1)
			tool := onLocalhost(probeTool(t, &lms, launched))
			lms = probePlatform(t, tool)
			for _, way := range []struct{ address, want string }{{lms, test.frame}, {tool + "/login", test.window}} {
				s.open(way.address)
				if got := s.launched(launched); got != way.want {
					t.Errorf("the launch from %s came with the cookies %q, want %q", way.address, got, way.want)
				}
			}
		})
	}
}

// onLocalhost names the same server so that it is another site.
func onLocalhost(address string) string {
	return strings.Replace(address, "127.0.0.1", "localhost", 1)
}

// probeTool sets cookies at login, and tells which ones came back with the launch.
func probeTool(t *testing.T, lms *string, launched chan<- string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			fmt.Fprint(w, `<!DOCTYPE html><link rel="icon" href="data:,">Launched`)
			launched <- r.Header.Get("Cookie")
		case r.URL.Path == "/login":
			for _, cookie := range []http.Cookie{{Name: "plain"}, {Name: "partitioned", Partitioned: true}} {
				cookie.Value, cookie.Path, cookie.Secure, cookie.HttpOnly, cookie.SameSite = "1", "/", true, true, http.SameSiteNoneMode
				http.SetCookie(w, &cookie)
			}
			http.Redirect(w, r, *lms+"/authorize", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// probePlatform shows the tool in a frame, and sends who was authorized back to it.
func probePlatform(t *testing.T, tool string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := `<iframe src="` + tool + `/login"></iframe>`
		if r.URL.Path == "/authorize" {
			page = `<form method="post" action="` + tool + `/launch"></form><script>document.forms[0].submit()</script>`
		}
		fmt.Fprint(w, `<!DOCTYPE html><link rel="icon" href="data:,">`, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (s *screen) launched(came <-chan string) string {
	s.t.Helper()
	var cookies string
	eventually(s.t, func() string {
		select {
		case cookies = <-came:
			return ""
		default:
			return "the tool was not launched"
		}
	})
	return cookies
}
