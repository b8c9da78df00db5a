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
		if strings.HasSuffix(t.Name(), "/client/comes_back_after_a_cut") {
			t.Skip("a cut is not felt: the next poll repeats what it lost; see TestCuts")
		}
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
		}
	})
}
