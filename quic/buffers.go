package commquic

import (
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
)

// wantedBuffer is what quic-go asks the system for, for each direction of a UDP socket.
const wantedBuffer = 7 << 20

// bufferVariable turns off quic-go's own line about small buffers, which goes to the standard log.
const bufferVariable = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"

// silenceBuffers sets the variable, unless the user has.
var silenceBuffers = sync.OnceFunc(func() {
	if _, set := os.LookupEnv(bufferVariable); !set {
		_ = os.Setenv(bufferVariable, "true")
	}
})

// tellBuffers warns about UDP buffers that are too small, and names what to set.
func tellBuffers(log *slog.Logger, socket net.PacketConn) {
	c, ok := socket.(syscall.Conn)
	if !ok {
		return
	}
	if receive, send, ok := bufferSizes(c); ok {
		tellSizes(log, receive, send)
	}
}

func tellSizes(log *slog.Logger, receive, send int) {
	if min(receive, send) >= wantedBuffer {
		return
	}
	log.Warn("small UDP buffers cost packets under load: raise net.core.rmem_max and net.core.wmem_max",
		"receive", receive, "send", send, "wanted", wantedBuffer,
		"command", "sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000")
}
