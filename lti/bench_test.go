package lti_test

import "testing"

// BenchmarkLaunch measures one launch through the handlers with SQLite: login, signed
// token, launch. The platform's signature is made off the clock.
func BenchmarkLaunch(b *testing.B) {
	r := newRig(b)
	for b.Loop() {
		a := r.login(nil)
		b.StopTimer()
		token := sign(r.claims(a), map[string]any{"kid": r.keyID}, platformKey())
		b.StartTimer()
		if o := r.deliver(a, token); o.entered == nil {
			b.Fatal(o.problem)
		}
	}
}
