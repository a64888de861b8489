package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/sealsmith/sealsmith/issuance"
)

// ordersPage lists orders to revoke.
type ordersPage struct {
	All     string
	Waiting []orderItem
	Others  []orderItem
}

// orderItem is an order for staff.
type orderItem struct {
	ID, Address      string
	State            issuance.OrderState
	Total            int
	Because          string
	AskedBy          string
	AskedAt, Until   time.Time
	Second           bool
	DecidedBy        string
	DecidedAt        time.Time
	Running          bool
	Revoked, Already int
	Failed, Left     int
	Done             int  // tried
	Mine             bool // whoever looks has asked
}

func newOrderItem(v *visit, o issuance.Order) orderItem {
	i := orderItem{
		ID: o.ID, Address: v.path("credentials/orders/" + o.ID), State: o.State, Total: o.Total, Because: issuance.Standing{Reason: o.Reason, Words: o.Words}.Because(),
		AskedBy: who(v, o.AskedBy), AskedAt: o.AskedAt, Until: o.ExpiresAt, Second: o.Second, DecidedAt: o.DecidedAt, Running: o.Running(),
		Revoked: o.Revoked, Already: o.Already, Failed: o.Failed, Left: o.Left(), Done: o.Total - o.Left(), Mine: o.AskedBy == v.actor(),
	}
	if o.DecidedBy != "" {
		i.DecidedBy = who(v, o.DecidedBy)
	}
	return i
}

const ordersShown = 100

func (s *Web) orders(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := ordersPage{All: v.path("credentials")}
	all, err := s.deps.Desk.Orders(r.Context(), v.organisation.ID, false, ordersShown)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.State != issuance.OrderAsked {
			page.Others = append(page.Others, newOrderItem(v, o))
		}
	}
	waiting, err := s.deps.Desk.Orders(r.Context(), v.organisation.ID, true, ordersShown)
	if err != nil {
		return err
	}
	for _, o := range waiting {
		page.Waiting = append(page.Waiting, newOrderItem(v, o))
	}
	return s.show(w, r, http.StatusOK, view{name: "orders", frame: v.frame(), page: &page})
}

// orderPage shows one order and what has become of its credentials.
type orderPage struct {
	orderItem

	All      string
	About    string // what it is about, in words
	Headline string // what everybody is told
	Items    []issuance.OrderItem
	At       string // where credentials are shown
	Live     string
	Said     string
}

const orderItemsShown = 50

var orderSaid = map[string]string{
	"confirm":  "You have confirmed it.",
	"decline":  "You have declined it. Nothing was withdrawn.",
	"withdraw": "You have taken it back. Nothing was withdrawn.",
	"ordered":  "It has begun.",
	"asked":    "You have asked for it. Nothing is withdrawn until somebody else has confirmed it.",
}

func (s *Web) order(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, org := r.Context(), v.organisation.ID
	o, err := s.deps.Desk.Order(ctx, org, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	page := orderPage{orderItem: newOrderItem(v, o), All: v.path("credentials/orders"), At: v.path("credentials"), Said: orderSaid[r.URL.Query().Get("done")]}
	if !page.Mine && page.Said == orderSaid["asked"] {
		page.Said = ""
	}
	if page.About, err = s.about(r, v, o.Selection); err != nil {
		return err
	}
	page.Headline, _ = issuance.Standing{InForce: issuance.StandsRevoked, Since: s.deps.Now()}.Told(words(v.organisation.Name).Text, s.deps.Now())
	if page.Items, err = s.deps.Desk.OrderItems(ctx, org, o.ID, orderItemsShown); err != nil {
		return err
	}
	f := v.frame()
	if page.Running {
		page.Live = page.Address + "/state"
		f.Script, f.Refresh = liveScript, refreshSeconds
	}
	return s.show(w, r, http.StatusOK, view{name: "order", frame: f, page: &page})
}

// about says in words what an order is about.
func (s *Web) about(r *http.Request, v *visit, sel issuance.Selection) (string, error) {
	out := ""
	if sel.VersionID != "" {
		version, err := s.deps.Templates.Version(r.Context(), v.organisation.ID, sel.VersionID)
		if err != nil {
			return "", err
		}
		out = "of " + versionWords(version)
	}
	course, err := s.activity(r.Context(), v.organisation.ID, sel.AttachmentID)
	if err != nil {
		return "", err
	}
	if course != "" {
		out += ", of the course " + course
	}
	if !sel.SealedFrom.IsZero() {
		out += ", sealed on " + date(sel.SealedFrom) + " or later"
	}
	if !sel.SealedUntil.IsZero() {
		out += ", sealed on " + date(sel.SealedUntil.Add(-time.Nanosecond)) + " or before"
	}
	if len(out) > 2 && out[:2] == ", " {
		out = out[2:]
	}
	return out, nil
}

// orderState answers one server-sent event and ends, as state does.
func (s *Web) orderState(w http.ResponseWriter, r *http.Request, v *visit) error {
	o, err := s.deps.Desk.Order(r.Context(), v.organisation.ID, mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	done := o.Total - o.Left()
	data, err := json.Marshal(liveState{Done: !o.Running(), Position: done, Eta: fmt.Sprintf("%d are left", o.Left()), Percent: done})
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, err = fmt.Fprintf(w, "retry: 2000\ndata: %s\n\n", data)
	return s.gone(r, err)
}

// orderDecide is what the second person decides, or whoever asked takes back. What is
// confirmed is begun at once; the rest of many is done behind.
func (s *Web) orderDecide(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, org := r.Context(), v.organisation.ID
	id, decision := mux.Vars(r)["id"], mux.Vars(r)["decision"]
	do := s.deps.Desk.ConfirmOrder
	switch decision {
	case "decline":
		do = s.deps.Desk.DeclineOrder
	case "withdraw":
		do = s.deps.Desk.WithdrawOrder
	}
	o, err := do(ctx, org, id, v.actor())
	if err != nil {
		return err
	}
	if o.Running() {
		if _, err := s.deps.Desk.Step(ctx, org, id); err != nil {
			return err
		}
	}
	return see303(w, r, withQuery(v.path("credentials/orders/"+id), "done", decision))
}
