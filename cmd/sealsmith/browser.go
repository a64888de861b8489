package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/html"
)

// browser walks through pages as a person's browser does: it keeps cookies, follows
// redirects and frames, and fills in the forms it finds. It runs no scripts: a form that
// a script would submit at once is submitted by submit, like by a person who presses the
// button that stands there for browsers without scripts.
//
// Like a browser it takes this computer for trustworthy, so that Secure cookies come back
// over plain http on loopback.
type browser struct {
	client *http.Client
	at     *url.URL
	status int
	body   []byte
	page   *html.Node
}

func newBrowser() *browser {
	return &browser{client: &http.Client{Jar: &cookies{}}}
}

// open loads a page.
func (b *browser) open(ctx context.Context, address string) error {
	u, err := b.resolve(address)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		return fmt.Errorf("open %s: %w", address, err)
	}
	return b.load(request)
}

func (b *browser) resolve(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("read address: %w", err)
	}
	if b.at != nil {
		u = b.at.ResolveReference(u)
	}
	return u.String(), nil
}

const maxPage = 20 << 20

func (b *browser) load(request *http.Request) error {
	if b.at != nil {
		// What browsers tell of the page that a request comes from.
		request.Header.Set("Sec-Fetch-Site", site(b.at, request.URL))
		if request.Method == http.MethodPost {
			request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
		}
	}
	response, err := b.client.Do(request)
	if err != nil {
		return fmt.Errorf("load page: %w", err)
	}
	defer response.Body.Close()
	if b.body, err = io.ReadAll(io.LimitReader(response.Body, maxPage)); err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	b.at, b.status = response.Request.URL, response.StatusCode
	if b.page, err = html.Parse(strings.NewReader(string(b.body))); err != nil {
		return fmt.Errorf("parse page: %w", err)
	}
	if b.status >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %d: %s", b.at.Redacted(), b.status, shorten(b.text()))
	}
	return nil
}

func site(from, to *url.URL) string {
	if from.Scheme == to.Scheme && from.Host == to.Host {
		return "same-origin"
	}
	if from.Hostname() == to.Hostname() {
		return "same-site"
	}
	return "cross-site"
}

// frame loads what the page shows in its frame.
func (b *browser) frame(ctx context.Context) error {
	frame := find(b.page, func(n *html.Node) bool { return n.Data == "iframe" })
	if frame == nil {
		return errors.New("the page has no frame: " + shorten(b.text()))
	}
	return b.open(ctx, attribute(frame, "src"))
}

// follow opens the link with this text.
func (b *browser) follow(ctx context.Context, label string) error {
	link := find(b.page, func(n *html.Node) bool { return n.Data == "a" && strings.Contains(text(n), label) })
	if link == nil {
		return fmt.Errorf("the page has no link %q: %s", label, shorten(b.text()))
	}
	return b.open(ctx, attribute(link, "href"))
}

// errNoForm is returned by submit when no form has the button.
var errNoForm = errors.New("the page has no such form")

// submit fills in the form that has a button with this text, and presses it. values
// replace or add fields.
func (b *browser) submit(ctx context.Context, button string, values map[string]string) error {
	form := find(b.page, func(n *html.Node) bool {
		return n.Data == "form" && find(n, func(m *html.Node) bool {
			return (m.Data == "button" || m.Data == "input" && attribute(m, "type") == "submit") && strings.Contains(text(m)+attribute(m, "value"), button)
		}) != nil
	})
	if form == nil {
		return fmt.Errorf("%w with a button %q on %s: %s", errNoForm, button, b.at.Redacted(), shorten(b.text()))
	}
	return b.send(ctx, form, values)
}

// send submits a form; values replace or add fields.
func (b *browser) send(ctx context.Context, form *html.Node, values map[string]string) error {
	fields := filled(form)
	for name, value := range values {
		fields.Set(name, value)
	}
	address, err := b.resolve(attribute(form, "action"))
	if err != nil {
		return err
	}
	var request *http.Request
	if strings.EqualFold(attribute(form, "method"), "post") {
		request, err = http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(fields.Encode()))
	} else {
		address, _, _ = strings.Cut(address, "?")
		request, err = http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+fields.Encode(), http.NoBody)
	}
	if err != nil {
		return fmt.Errorf("submit form: %w", err)
	}
	if request.Method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.load(request)
}

// filled returns the fields of a form as they stand.
func filled(form *html.Node) url.Values {
	fields := url.Values{}
	each(form, func(n *html.Node) {
		name := attribute(n, "name")
		if name == "" || has(n, "disabled") {
			return
		}
		switch n.Data {
		case "input":
			kind := attribute(n, "type")
			if kind == "submit" || (kind == "radio" || kind == "checkbox") && !has(n, "checked") {
				return
			}
			fields.Add(name, attribute(n, "value"))
		case "textarea":
			fields.Add(name, text(n))
		case "select":
			option := find(n, func(o *html.Node) bool { return o.Data == "option" && has(o, "selected") })
			if option == nil {
				option = find(n, func(o *html.Node) bool { return o.Data == "option" })
			}
			if option != nil {
				fields.Add(name, attribute(option, "value"))
			}
		}
	})
	return fields
}

// text returns what a person reads on the page.
func (b *browser) text() string { return text(b.page) }

func text(n *html.Node) string {
	var words []string
	each(n, func(m *html.Node) {
		hidden := m.Parent != nil && slices.Contains([]string{"script", "style", "title"}, m.Parent.Data)
		if m.Type == html.TextNode && !hidden {
			words = append(words, strings.Fields(m.Data)...)
		}
	})
	return strings.Join(words, " ")
}

func each(n *html.Node, do func(*html.Node)) {
	do(n)
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		each(child, do)
	}
}

func find(n *html.Node, match func(*html.Node) bool) *html.Node {
	if n.Type == html.ElementNode && match(n) {
		return n
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if hit := find(child, match); hit != nil {
			return hit
		}
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func shorten(s string) string {
	if runes := []rune(s); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return s
}

// cookies is a jar per host. It gives Secure cookies back to loopback, as browsers do and
// net/http/cookiejar does not; paths and expiry other than deletion do not matter here.
type cookies struct {
	mu  sync.Mutex
	all map[string]map[string]*http.Cookie
}

// SetCookies implements http.CookieJar.
func (c *cookies) SetCookies(u *url.URL, set []*http.Cookie) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]map[string]*http.Cookie{}
	}
	host := u.Hostname()
	if c.all[host] == nil {
		c.all[host] = map[string]*http.Cookie{}
	}
	for _, cookie := range set {
		if cookie.Secure && u.Scheme != "https" && !loopback(host) {
			continue
		}
		if cookie.MaxAge < 0 {
			delete(c.all[host], cookie.Name)
			continue
		}
		c.all[host][cookie.Name] = cookie
	}
}

// Cookies implements http.CookieJar.
func (c *cookies) Cookies(u *url.URL) []*http.Cookie {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sent []*http.Cookie
	for _, cookie := range c.all[u.Hostname()] {
		sent = append(sent, &http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	return sent
}
