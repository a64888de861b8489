package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// redisCPU is what the Redis has used since it was started, 0 when it does not say so.
func redisCPU(ctx context.Context, a *app) time.Duration {
	info, err := a.redis.Info(ctx, "cpu").Result()
	if err != nil {
		return 0
	}
	var used time.Duration
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, _ := strconv.ParseFloat(value, 64)
			used += time.Duration(seconds * float64(time.Second))
		}
	}
	return used
}

// postgresCPU is what a PostgreSQL on this machine has used since it was started, with all its
// processes; 0 when there is none, or when it runs elsewhere.
func postgresCPU(ctx context.Context, a *app) time.Duration {
	var backend int
	if a.settings.Database == "" || a.db.Get(ctx, &backend, `select pg_backend_pid()`) != nil {
		return 0
	}
	first, ok := readProcess(strconv.Itoa(backend))
	if !ok {
		return 0
	}
	server, ok := readProcess(first.parent)
	if !ok {
		return 0
	}
	used := server.own + server.ended
	all, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, dir := range all {
		if p, ok := readProcess(filepath.Base(dir)); ok && p.parent == first.parent {
			used += p.own
		}
	}
	return used
}

// procStat is what /proc says of one (proc(5), /proc/pid/stat).
type procStat struct {
	parent     string
	own, ended time.Duration // CPU time of itself, and of its children that have ended
}

func readProcess(id string) (p procStat, ok bool) {
	raw, err := os.ReadFile(filepath.Join("/proc", id, "stat"))
	if err != nil {
		return p, false
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name may hold anything but this
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return p, false
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	ticks := func(i int) time.Duration {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		return time.Duration(n) * tick
	}
	return procStat{parent: fields[1], own: ticks(11) + ticks(12), ended: ticks(13) + ticks(14)}, true
}
