package lti_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sealsmith/sealsmith/lti"
)

// TestChangedKeyOfTheSameName: a platform that puts another key under the old name works
// again after a minute, and a flood of wrong signatures reads the key set once a minute.
func TestChangedKeyOfTheSameName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.launch(nil).session(t)
	r.jwks.serve(http.StatusOK, publicSet(publicKey("k1", otherKey(), nil)))
	withOther := func() outcome {
		a := r.login(nil)
		return r.deliver(a, sign(r.claims(a), map[string]any{"kid": "k1"}, otherKey()))
	}
	if got := withOther().check(t); got.Code != lti.CodeSignature {
		t.Errorf("within the minute: %v", got)
	}
	r.clock.advance(time.Minute)
	withOther().session(t)
	read := r.jwks.count()
	for range 50 { // the old key has no place any more
		if got := r.launch(nil).check(t); got.Code != lti.CodeSignature {
			t.Fatalf("got %v", got)
		}
		r.clock.advance(3 * time.Second)
	}
	if more := r.jwks.count() - read; more > 3 {
		t.Errorf("read %d times in two and a half minutes", more)
	}
}
