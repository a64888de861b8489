package issuance

import "slices"

// State is where a claim stands.
type State string

// The states of a claim. README and the admin's pages draw from Next. A claim whose name is
// corrected goes through them once more, with the next revision; its credential is in force
// until the next one is sealed, and is replaced then. A claim is never replaced.
const (
	Open      State = "open"      // completed; waits for the learner
	Queued    State = "queued"    // name confirmed; waits for the token
	Sealing   State = "sealing"   // leased by a worker until lease_until
	Sealed    State = "sealed"    // stored and verified
	Delivered State = "delivered" // the learner has fetched it
	Failed    State = "failed"    // cannot succeed by trying again; back to queued by hand
	Revoked   State = "revoked"   // withdrawn
)

// States lists all states in the order of a life.
func States() []State {
	return []State{Open, Queued, Sealing, Sealed, Delivered, Failed, Revoked}
}

// Next returns the states that may follow s.
func (s State) Next() []State {
	switch s {
	case Open:
		return []State{Queued}
	case Queued:
		return []State{Sealing, Open, Sealed, Delivered, Revoked} // open: dropped by hand; the others: a correction that is given up
	case Sealing:
		return []State{Queued, Sealed, Failed, Revoked} // back to queued: the lease ended or the token is away
	case Sealed:
		return []State{Queued, Delivered, Revoked} // to queued: the name is corrected
	case Delivered:
		return []State{Queued, Revoked}
	case Failed:
		return []State{Queued, Open, Sealed, Delivered, Revoked}
	case Revoked:
	}
	return nil
}

// May reports whether next may follow s.
func (s State) May(next State) bool { return slices.Contains(s.Next(), next) }
