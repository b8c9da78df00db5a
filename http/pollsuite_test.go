package commhttp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commhttp "github.com/anasamu/comm/http"
)

// TestConformance holds polling against the suite that every provider passes.
func TestConformance(t *testing.T) {
	commtest.Run(t, func(t *testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: commhttp.New(),
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				transport := &http.Transport{DialContext: e.DialContext, TLSClientConfig: e.TLS, ForceAttemptHTTP2: true}
				t.Cleanup(func() {
					transport.CloseIdleConnections()
					if strings.Contains(t.Name(), "/memory/") {
						time.Sleep(time.Second) // fake time, in which net/http's server ends what it refused to read
					}
				})
				return commhttp.Dialer(e.URL("http", "/poll"), commhttp.WithHTTPClient(&http.Client{Transport: transport}), commhttp.WithPatience(0))
			},
			SendRaw: commhttp.PollSendRaw, Backpressure: true,
			OutlivesCuts: true, // the next poll repeats what was lost; see TestCuts
		}
	})
}
