package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/pprof"
	"strings"
)

type stageFrame struct{ prefix, stage string }

// stageFrames say what the processor did: the first of them that begins the name of a function
// in the stack. No part of the product knows that it is measured.
var stageFrames = []stageFrame{
	{"github.com/sealsmith/sealsmith/hsm/internal/cryptoki.", "sign"}, // the token's own work: C_Sign
	{"github.com/sealsmith/sealsmith/issuance/elm.(*Renderer)", "image"},
	{"github.com/sealsmith/sealsmith/issuance/elm.(*Forms).Check", "check"},
	{"github.com/sealsmith/sealsmith/issuance/elm.Check", "check"},
	{"github.com/sealsmith/sealsmith/issuance/elm.", "payload"},
	{"github.com/sealsmith/sealsmith/migrations/sqldb.", "sql"},
	{"database/sql.", "sql"},
	{"github.com/sealsmith/sealsmith/hsm.", "seal"},            // hash, verification
	{"github.com/sealsmith/sealsmith/issuance/jades.", "seal"}, // header, file, reading it again
	{"github.com/sealsmith/sealsmith/issuance/redisqueue.", "redis"},
	{"github.com/redis/go-redis/", "redis"},
	{"github.com/sealsmith/sealsmith/", "worker"}, // what is left of ours: the steps between the stages
}

// runtimeFrames are for stacks in which nothing of ours stands. What a stage must help the
// collector with is its own.
var runtimeFrames = []stageFrame{
	{"runtime.gcBgMarkWorker", "collector"},
	{"runtime.bgsweep", "collector"},
	{"runtime.", "runtime"}, // mostly waking goroutines
}

// stagesOf tells in shares of 1 what a CPU profile shows. The profile is read here because its
// form is simple (profile.proto of pprof: gzip of protocol buffers) and a library is not.
func stagesOf(profile []byte) (map[string]float64, error) {
	unzip, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	raw, err := io.ReadAll(unzip)
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	p := cpuProfile{locations: map[uint64][]uint64{}, functions: map[uint64]uint64{}}
	if err := eachField(raw, p.field); err != nil {
		return nil, err
	}
	shares, total := map[string]float64{}, 0.0
	for _, s := range p.samples {
		shares[p.stage(s)] += float64(s.value)
		total += float64(s.value)
	}
	for stage := range shares {
		shares[stage] /= total
	}
	if total == 0 {
		return nil, errors.New("the profile has no samples")
	}
	return shares, nil
}

// cpuProfile is what is needed of a profile.
type cpuProfile struct {
	samples   []cpuSample
	locations map[uint64][]uint64 // functions, the innermost first
	functions map[uint64]uint64   // where the name stands in names
	names     []string
}

// cpuSample is a stack and the time that was spent in it.
type cpuSample struct {
	stack []uint64 // locations, the innermost first
	value uint64   // nanoseconds
}

func (p *cpuProfile) stage(s cpuSample) string {
	for _, frames := range [][]stageFrame{stageFrames, runtimeFrames} {
		for _, f := range frames {
			if p.within(s, f.prefix) {
				return f.stage
			}
		}
	}
	return "other"
}

// within says whether a function whose name begins so stands in the stack.
func (p *cpuProfile) within(s cpuSample, prefix string) bool {
	for _, location := range s.stack {
		for _, function := range p.locations[location] {
			if strings.HasPrefix(p.names[p.functions[function]], prefix) {
				return true
			}
		}
	}
	return false
}

// field reads a field of the message Profile.
func (p *cpuProfile) field(number int, _ uint64, data []byte) error {
	switch number {
	case 2:
		return p.sample(data)
	case 4:
		return p.location(data)
	case 5:
		return p.function(data)
	case 6:
		p.names = append(p.names, string(data))
	}
	return nil
}

func (p *cpuProfile) sample(data []byte) error {
	var s cpuSample
	var values []uint64
	err := eachField(data, func(number int, n uint64, data []byte) (err error) {
		switch number {
		case 1:
			s.stack, err = numbers(s.stack, n, data)
		case 2:
			values, err = numbers(values, n, data)
		}
		return err
	})
	if err == nil && len(values) != 2 { // samples, nanoseconds
		err = errProfile
	}
	if err != nil {
		return err
	}
	s.value = values[1]
	p.samples = append(p.samples, s)
	return nil
}

func (p *cpuProfile) location(data []byte) error {
	var id uint64
	var functions []uint64
	err := eachField(data, func(number int, n uint64, data []byte) error {
		switch number {
		case 1:
			id = n
		case 4: // line
			return eachField(data, func(number int, n uint64, _ []byte) error {
				if number == 1 {
					functions = append(functions, n)
				}
				return nil
			})
		}
		return nil
	})
	p.locations[id] = functions
	return err
}

func (p *cpuProfile) function(data []byte) error {
	var id, name uint64
	err := eachField(data, func(number int, n uint64, _ []byte) error {
		switch number {
		case 1:
			id = n
		case 2:
			name = n
		}
		return nil
	})
	p.functions[id] = name
	return err
}

var errProfile = errors.New("the profile has another form than expected")

// eachField visits the fields of one message of protocol buffers: numbers, and pieces of bytes.
func eachField(message []byte, visit func(number int, n uint64, data []byte) error) error {
	for len(message) > 0 {
		key, size := binary.Uvarint(message)
		if size <= 0 {
			return errProfile
		}
		message = message[size:]
		n, size := binary.Uvarint(message)
		if size <= 0 || key&7 != 0 && (key&7 != 2 || n > uint64(len(message)-size)) { //nolint:gosec // G115: never negative
			return errProfile
		}
		message = message[size:]
		var data []byte
		if key&7 == 2 {
			data, message = message[:n], message[n:]
		}
		if err := visit(int(key>>3), n, data); err != nil {
			return err
		}
	}
	return nil
}

// numbers appends one number, or those packed in data.
func numbers(list []uint64, n uint64, data []byte) ([]uint64, error) {
	if data == nil {
		return append(list, n), nil
	}
	for len(data) > 0 {
		n, size := binary.Uvarint(data)
		if size <= 0 {
			return nil, errProfile
		}
		list, data = append(list, n), data[size:]
	}
	return list, nil
}

// profiled runs do under the profiler and returns what it has seen.
func profiled(do func() error) ([]byte, error) {
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return nil, fmt.Errorf("start the profiler: %w", err)
	}
	err := do()
	pprof.StopCPUProfile()
	return out.Bytes(), err
}
