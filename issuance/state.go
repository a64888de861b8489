package issuance

import "slices"

// State is where a claim stands.
type State string

// The states of a claim. README and the admin's pages draw from Next.
const (
	Open      State = "open"      // completed; waits for the learner
	Queued    State = "queued"    // name confirmed; waits for the token
	Sealing   State = "sealing"   // leased by a worker until lease_until
	Sealed    State = "sealed"    // stored and verified
	Delivered State = "delivered" // the learner has fetched it
	Failed    State = "failed"    // cannot succeed by trying again; back to queued by hand
	Revoked   State = "revoked"   // withdrawn
	Replaced  State = "replaced"  // a corrected credential took its place
)

// States lists all states in the order of a life.
func States() []State {
	return []State{Open, Queued, Sealing, Sealed, Delivered, Failed, Revoked, Replaced}
}

// Next returns the states that may follow s.
func (s State) Next() []State {
	switch s {
	case Open:
		return []State{Queued}
	case Queued:
		return []State{Sealing, Open} // open again: dropped by hand
	case Sealing:
		return []State{Queued, Sealed, Failed} // back to queued: the lease ended or the token is away
	case Sealed:
		return []State{Delivered, Revoked, Replaced}
	case Delivered:
		return []State{Revoked, Replaced}
	case Failed:
		return []State{Queued, Open}
	case Revoked, Replaced:
	}
	return nil
}

// May reports whether next may follow s.
func (s State) May(next State) bool { return slices.Contains(s.Next(), next) }
