package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// request is what is noted about one request while it is answered.
type request struct {
	trace string
	route string // pattern, empty: no route fits
	kind  string // of the problem it ended in, empty: none
	err   error  // its cause
	visit *visit // set once the session is known
}

type requestKey struct{}

// requestOf returns the notes of the request that ctx belongs to. Outside the middleware
// it returns fresh ones.
func requestOf(ctx context.Context) *request {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q
	}
	return &request{trace: newTrace()}
}

// TraceID returns the id under which the request of ctx stands in the log and on error
// pages: 16 hexadecimal digits in four groups, to be read out on the telephone. It is
// empty outside a request.
func TraceID(ctx context.Context) string {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q.trace
	}
	return ""
}

func newTrace() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	d := hex.EncodeToString(b[:])
	return d[:4] + "-" + d[4:8] + "-" + d[8:12] + "-" + d[12:]
}

const (
	bodyLimit   = 1 << 20         // forms
	uploadLimit = 20<<20 + 64<<10 // a file of 20 MB with the form around it
)

// Wrap surrounds the whole server, the endpoints of LTI and unknown addresses too, with
// trace id, log line, recovery, security headers, size limits, and the refusal of posts
// from other origins.
func (s *Web) Wrap(next http.Handler) http.Handler {
	small := http.MaxBytesHandler(s.guard.Handler(next), bodyLimit)
	large := http.MaxBytesHandler(s.guard.Handler(next), uploadLimit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.deps.Now()
		q := &request{trace: newTrace()}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
		out := &recorder{ResponseWriter: w}
		s.secure(out.Header(), r)
		out.Header().Set("X-Request-Id", q.trace)
		defer s.log(r, q, out, start)
		defer s.recover(out, r)
		if r.URL.Path == "/verify" {
			large.ServeHTTP(out, r)
			return
		}
		small.ServeHTTP(out, r)
	})
}

// recover turns a panic into a problem page, if nothing was sent yet, and logs the stack.
func (s *Web) recover(w *recorder, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal, see net/http
		panic(cause)
	}
	q := requestOf(r.Context())
	s.deps.Logger.ErrorContext(r.Context(), "handler panicked", "request_id", q.trace, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if w.status == 0 {
		s.Problem(w, r, fmt.Errorf("panic: %v", cause))
	}
}

// log writes the one event about a request. It names the route, never the address: ids
// of sessions and links of credentials do not belong into a log, nor do queries.
func (s *Web) log(r *http.Request, q *request, w *recorder, start time.Time) {
	level := slog.LevelInfo
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	switch {
	case status >= http.StatusInternalServerError && q.kind == "internal":
		level = slog.LevelError
	case status >= http.StatusInternalServerError:
		level = slog.LevelWarn // the platform, the token or a part of the server is away
	case quiet(q.route) && status < http.StatusBadRequest:
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", q.route), slog.Int("status", status),
		slog.Int64("duration_ms", s.deps.Now().Sub(start).Milliseconds()), slog.String("request_id", q.trace),
	}
	if q.kind != "" {
		attrs = append(attrs, slog.String("problem", q.kind))
	}
	if q.err != nil {
		attrs = append(attrs, slog.Any("err", q.err))
	}
	if q.visit != nil {
		attrs = append(attrs, slog.String("registration", q.visit.launch.RegistrationID))
	}
	s.deps.Logger.LogAttrs(r.Context(), level, "request answered", attrs...)
}

// noteRoute keeps the pattern of the route: the router knows it, Wrap outside does not.
func noteRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if current := mux.CurrentRoute(r); current != nil {
			if pattern, err := current.GetPathTemplate(); err == nil {
				requestOf(r.Context()).route = pattern
			}
		}
		next.ServeHTTP(w, r)
	})
}

// quiet routes are asked for by machines, many times.
func quiet(route string) bool {
	return strings.HasPrefix(route, "/static/") || strings.HasPrefix(route, "/brand/") || strings.HasPrefix(route, "/status/lists/") || route == "/livez" || route == "/readyz" || strings.HasSuffix(route, "/state")
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
