package comm_test

import (
	"testing"

	"github.com/anasamu/comm"
)

// The sizes of "communication" are written as those of the providers are.
func TestConfigSizes(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]comm.Option{
		"file":        comm.WithConfigJSON("config.json", []byte(`{"communication":{"max_message":"64KiB","queue_bytes":"2MiB"}}`)),
		"numbers":     comm.WithConfigJSON("config.json", []byte(`{"communication":{"max_message":65536,"queue_bytes":2097152}}`)),
		"environment": comm.WithEnviron([]string{"COMMUNICATION_MAX_MESSAGE=64KiB", "COMMUNICATION_QUEUE_BYTES=2MiB"}, ""),
	} {
		cfg := newManager(t, source).Config()
		same(t, name, []int{cfg.MaxMessage, cfg.QueueBytes}, []int{64 << 10, 2 << 20})
	}
	_, err := comm.New(comm.WithConfigJSON("config.json", []byte(`{"communication":{"max_message":"1B","queue_bytes":"0"}}`)))
	contains(t, err, "config.json:1:33: communication.max_message: 1B: allowed is 64 or more", "communication.queue_bytes: 0B: allowed is 1 or more")
}
