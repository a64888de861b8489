package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sealsmith/sealsmith/cmd/sealsmith/web"
	"github.com/sealsmith/sealsmith/hsm"
)

// sealing says for the pages whether claims are being sealed, and why not.
func (a *app) sealing() web.SealingStatus {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if err := a.queue.Ping(ctx); err != nil {
		return web.SealingStatus{Paused: true, Reason: "the waiting list is not reachable", Detail: "Redis does not answer: " + err.Error()}
	}
	if a.token == nil {
		return web.SealingStatus{Paused: true, Reason: "no seal token is set up on this server", Detail: errNoToken.Reason}
	}
	health := a.token.Health()
	status := web.SealingStatus{Detail: health.Reason}
	key, err := a.token.Key(ctx)
	if err != nil {
		status.Paused, status.Reason = true, "the seal token cannot be used at the moment"
		return status
	}
	status.Issuer = hsm.InspectSeal(key.Chain[0])
	return status
}

// ready lists the parts of the server for /readyz. Only the database makes the server
// unready: without Redis or the token it still serves pages and loses nothing.
func (a *app) ready(ctx context.Context) []web.Component {
	parts := []web.Component{part("database", a.db.Ping(ctx), "answers")}
	parts[0].Required = true
	parts = append(parts, part("redis", a.queue.Ping(ctx), "answers"))
	if a.token == nil {
		return append(parts, web.Component{Name: "token", Words: "sealing is paused: " + errNoToken.Reason})
	}
	health := a.token.Health()
	usable := health.State == hsm.StateReady || health.State == hsm.StateDegraded
	return append(parts, web.Component{Name: "token", OK: usable, Words: fmt.Sprintf("%s: %s", health.State, health.Reason)})
}

func part(name string, err error, words string) web.Component {
	if err != nil {
		return web.Component{Name: name, Words: "does not answer: " + err.Error()}
	}
	return web.Component{Name: name, OK: true, Words: words}
}
