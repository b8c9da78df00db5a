// Package conftest is for the tests of configuration keys.
package conftest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/conf"
)

// EachKey calls check with the row of every key of a configuration, a pointer to a struct, in a parallel
// subtest of the key's name. A key without a row fails, and so does a row of no key.
func EachKey[R any](t *testing.T, config any, rows map[string]R, check func(t *testing.T, key string, row R)) {
	t.Helper()
	keys, err := conf.Keys(config)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, key := range keys {
		known[key] = true
		row, ok := rows[key]
		if !ok {
			t.Errorf("key %q has no row", key)
			continue
		}
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			check(t, key, row)
		})
	}
	for key := range rows {
		if !known[key] {
			t.Errorf("row %q is of no key", key)
		}
	}
}

// Environ is the variables that set keys of a provider's section.
func Environ(section string, set map[string]string) (environ []string) {
	for key, value := range set {
		environ = append(environ, strings.ToUpper(section+"_"+key)+"="+value)
	}
	return environ
}

// Document is the file that says what Environ does: numbers and booleans as such, all else as strings.
func Document(section string, set map[string]string) []byte {
	var members []string
	for key, value := range set {
		if _, err := strconv.Atoi(value); err != nil && value != "true" && value != "false" {
			value = strconv.Quote(value)
		}
		members = append(members, strconv.Quote(key)+":"+value)
	}
	return []byte(`{"providers":{"` + section + `":{` + strings.Join(members, ",") + `}}}`)
}

// Systems give ports from 32768 or higher to sockets that ask for any.
const lowestPort, highestPort = 10_000, 32_000

// FreePort returns a port of 127.0.0.1 on which nobody listens, TCP or UDP. It is none of those that
// the system hands out by itself, so no connection that begins before it is used can take it.
func FreePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort))
		if free(net.JoinHostPort("127.0.0.1", port)) {
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	defer p.Close()
	return true
}
