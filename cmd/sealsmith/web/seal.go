package web

import "net/http"

// sealPage says to an administrator how the seal of the organisation is: its tokens, its
// certificates, the queue before it, and the time-stamps after it.
type sealPage struct {
	Tabs    tabs
	Done    string // what was just done, in words
	Sealing sealingNotice
	Queue   sealRoom
	Tokens  []TokenStatus
	Stamps  []StampStatus
	Proofs  proofsNotice
	Lists   listsNotice
}

// listsNotice is how the status lists of the organisation are.
type listsNotice struct {
	Any   bool
	OK    bool
	Words string // what is so, and what it waits for
}

// proofsNotice is how far the proofs beside the seals are.
type proofsNotice struct {
	Level   string // that new credentials reach
	Waiting int
	Trouble string // of the oldest one that waits or could not be renewed
}

func (s *Web) seal(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx := r.Context()
	page := sealPage{Tokens: s.deps.Tokens(v.organisation.Slug), Stamps: s.deps.Stamps(), Done: sealDone(r.URL.Query().Get("done"))}
	var err error
	if page.Tabs, err = s.tabs(ctx, v, "seal"); err != nil {
		return err
	}
	if page.Sealing, err = s.sealingNotice(ctx, v.organisation); err != nil {
		return err
	}
	if page.Queue, err = s.sealRoom(ctx, v); err != nil {
		return err
	}
	proofs, err := s.deps.Desk.Proofs(ctx, v.organisation.ID)
	if err != nil {
		return err
	}
	page.Proofs = proofsNotice{Level: string(v.organisation.Seal.Goal(s.deps.Level)), Waiting: proofs.Waiting, Trouble: proofs.LastError}
	lists, err := s.deps.Desk.StatusHealth(ctx, v.organisation.ID)
	if err != nil {
		return err
	}
	page.Lists = listsNotice{Any: lists.Lists > 0, OK: lists.OK(), Words: lists.Words()}
	return s.show(w, r, http.StatusOK, view{name: "tokens", frame: v.frame(), page: &page})
}
