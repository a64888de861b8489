package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/issuance"
	"github.com/sealsmith/sealsmith/templates"
)

type ordersCommand struct {
	List     ordersListCommand     `cmd:"" help:"List orders to revoke, the newest first."`
	Show     ordersShowCommand     `cmd:"" help:"Show one order, and what has become of its credentials."`
	Confirm  ordersConfirmCommand  `cmd:"" help:"Confirm an order as the second person, and carry it out."`
	Decline  ordersDeclineCommand  `cmd:"" help:"Decline an order as the second person."`
	Withdraw ordersWithdrawCommand `cmd:"" help:"Take back an order that you have given."`
	Run      ordersRunCommand      `cmd:"" help:"Go on with an order that was interrupted. A server does so by itself."`
}

// givenOrder is an order for operators.
type givenOrder struct {
	ID        string              `json:"id"`
	State     issuance.OrderState `json:"state"`
	Reason    issuance.Reason     `json:"reason"`
	Words     string              `json:"words,omitempty"`
	Selection issuance.Selection  `json:"selection"`
	Total     int                 `json:"total"`
	Revoked   int                 `json:"revoked"`
	Already   int                 `json:"already"`
	Failed    int                 `json:"failed"`
	AskedBy   string              `json:"asked_by"`
	AskedAt   time.Time           `json:"asked_at"`
	Until     time.Time           `json:"waits_until,omitzero"`
	DecidedBy string              `json:"decided_by,omitempty"`
	DecidedAt time.Time           `json:"decided_at,omitzero"`
	DoneAt    time.Time           `json:"done_at,omitzero"`
	Items     []givenItem         `json:"credentials,omitempty"`
}

type givenItem struct {
	ID      string               `json:"id"`
	Outcome issuance.ItemOutcome `json:"outcome,omitempty"`
	Cause   string               `json:"cause,omitempty"`
}

func describeOrder(o issuance.Order) givenOrder {
	g := givenOrder{
		ID: o.ID, State: o.State, Reason: o.Reason, Words: o.Words, Selection: o.Selection, Total: o.Total, Revoked: o.Revoked, Already: o.Already, Failed: o.Failed,
		AskedBy: o.AskedBy, AskedAt: o.AskedAt, DecidedBy: o.DecidedBy, DecidedAt: o.DecidedAt, DoneAt: o.DoneAt,
	}
	if o.State == issuance.OrderAsked {
		g.Until = o.ExpiresAt
	}
	return g
}

// stand says where an order stands.
func stand(o issuance.Order) string {
	switch {
	case o.State == issuance.OrderAsked:
		return "waits for a second person"
	case o.Running():
		return fmt.Sprintf("%d left", o.Left())
	case o.State == issuance.OrderConfirmed:
		return "done"
	}
	return string(o.State)
}

type ordersListCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	Waiting      bool   `help:"Only those that wait for a second person."`
	Limit        int    `help:"How many at most." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run lists orders.
func (c ordersListCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		found, err := desk.Orders(ctx, o.ID, c.Waiting, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			all := make([]givenOrder, len(found))
			for i := range found {
				all[i] = describeOrder(found[i])
			}
			return out.printJSON(struct {
				Orders []givenOrder `json:"orders"`
			}{all})
		}
		if len(found) == 0 {
			out.printf("There is no such order.\n")
			return nil
		}
		t := newTable(out.out, "ORDER", "CREDENTIALS", "ASKED", "BY", "REASON", "STATE")
		for _, one := range found {
			t.row(one.ID, one.Total, one.AskedAt.Format("2006-01-02 15:04"), one.AskedBy, say(one.Reason), stand(one))
		}
		return t.Flush()
	})
}

type ordersShowCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the order."`
	Limit        int    `help:"How many of its credentials to show." default:"100"`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// Run shows an order.
func (c ordersShowCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		order, err := desk.Order(ctx, o.ID, c.ID)
		if err != nil {
			return about("order", c.ID, "credentials orders list", err)
		}
		items, err := desk.OrderItems(ctx, o.ID, c.ID, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			shown := describeOrder(order)
			for _, i := range items {
				shown.Items = append(shown.Items, givenItem{ID: i.CredentialID, Outcome: i.Outcome, Cause: i.Cause})
			}
			return out.printJSON(shown)
		}
		return printOrder(order, items, out)
	})
}

func printOrder(order issuance.Order, items []issuance.OrderItem, out streams) error {
	t := newTable(out.out, "ORDER", order.ID)
	t.row("state", stand(order))
	t.row("asked", order.AskedAt.Format(time.RFC3339)+" by "+order.AskedBy)
	switch {
	case order.State == issuance.OrderAsked:
		t.row("waits until", order.ExpiresAt.Format(time.RFC3339))
	case order.Second && order.DecidedBy != "":
		t.row(string(order.State), order.DecidedAt.Format(time.RFC3339)+" by "+order.DecidedBy)
	}
	t.row("everybody reads", issuance.Standing{Reason: order.Reason, Words: order.Words}.Because())
	t.row("credentials", fmt.Sprintf("%d: %d revoked, %d already, %d failed, %d left", order.Total, order.Revoked, order.Already, order.Failed, order.Left()))
	for _, i := range items {
		line := say(i.Outcome)
		if line == "" {
			line = "not tried yet"
		}
		if i.Cause != "" {
			line += ": " + i.Cause
		}
		t.row(i.CredentialID, line)
	}
	return t.Flush()
}

type ordersConfirmCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	By           string `help:"Your name. It must not be whose name the order has." required:""`
	ID           string `arg:"" help:"Id of the order."`
}

// Run confirms an order.
func (c ordersConfirmCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return decideOrder(ctx, s, c.Organisation, c.By, func(desk *issuance.Desk, organisationID, by string) error {
		order, err := desk.ConfirmOrder(ctx, organisationID, c.ID, by)
		if err != nil {
			return about("order", c.ID, "credentials orders list", err)
		}
		return carryOut(ctx, desk, order, out)
	})
}

type ordersDeclineCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	By           string `help:"Your name. It must not be whose name the order has." required:""`
	ID           string `arg:"" help:"Id of the order."`
}

// Run declines an order.
func (c ordersDeclineCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return decideOrder(ctx, s, c.Organisation, c.By, func(desk *issuance.Desk, organisationID, by string) error {
		if _, err := desk.DeclineOrder(ctx, organisationID, c.ID, by); err != nil {
			return about("order", c.ID, "credentials orders list", err)
		}
		out.printf("Declined. Nothing was revoked.\n")
		return nil
	})
}

type ordersWithdrawCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	By           string `help:"Your name, as the order has it." required:""`
	ID           string `arg:"" help:"Id of the order."`
}

// Run takes back an order.
func (c ordersWithdrawCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return decideOrder(ctx, s, c.Organisation, c.By, func(desk *issuance.Desk, organisationID, by string) error {
		if _, err := desk.WithdrawOrder(ctx, organisationID, c.ID, by); err != nil {
			return about("order", c.ID, "credentials orders list", err)
		}
		out.printf("Taken back. Nothing was revoked.\n")
		return nil
	})
}

type ordersRunCommand struct {
	Organisation string `help:"Slug; not needed while there is one organisation."`
	ID           string `arg:"" help:"Id of the order."`
}

// Run goes on with an order.
func (c ordersRunCommand) Run(ctx context.Context, s *Settings, out streams) error {
	return s.withDesk(ctx, c.Organisation, func(desk *issuance.Desk, o templates.Organisation) error {
		order, err := desk.Order(ctx, o.ID, c.ID)
		if err != nil {
			return about("order", c.ID, "credentials orders list", err)
		}
		if order.State != issuance.OrderConfirmed {
			return fmt.Errorf("order %s %s, so there is nothing to go on with", order.ID, stand(order))
		}
		return carryOut(ctx, desk, order, out)
	})
}

// decideOrder does what a person by name decides.
func decideOrder(ctx context.Context, s *Settings, slug, name string, do func(desk *issuance.Desk, organisationID, by string) error) error {
	by, err := operatorName(name)
	if err != nil {
		return err
	}
	return s.withDesk(ctx, slug, func(desk *issuance.Desk, o templates.Organisation) error { return do(desk, o.ID, by) })
}

// sayWaiting says what happens next to an order that needs a second person.
func sayWaiting(order issuance.Order, out streams) {
	out.printf("Order %s over %d waits for a second person, until %s.\nAn administrator confirms it on the page Credentials, or another operator by: sealsmith credentials orders confirm %s --by NAME\n",
		order.ID, order.Total, order.ExpiresAt.Format(time.DateOnly), order.ID)
}

// carryOut does what is left of an order, and reports. What could not be revoked makes the
// command fail.
func carryOut(ctx context.Context, desk *issuance.Desk, order issuance.Order, out streams) error {
	out.printf("Order %s over %d.\n", order.ID, order.Total)
	done, err := desk.CarryOut(ctx, order.OrganisationID, order.ID)
	if err != nil {
		return fmt.Errorf("the order is kept: a server goes on with it, or sealsmith credentials orders run %s: %w", order.ID, err)
	}
	var errs []error
	if done.Failed > 0 {
		items, err := desk.OrderItems(ctx, order.OrganisationID, order.ID, done.Failed)
		errs = append(errs, err)
		for _, i := range items {
			errs = append(errs, fmt.Errorf("credential %s: %s", i.CredentialID, i.Cause)) //nolint:err113 // words out of the database
		}
	}
	out.printf("%d revoked, %d already revoked, %d failed.\n", done.Revoked, done.Already, done.Failed)
	return errors.Join(errs...)
}
