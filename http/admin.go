package commhttp

import (
	"net/http"

	"github.com/anasamu/comm"
)

// AdminOption is
type AdminOption func(*int)

func Admin(m *comm.Manager, opts ...AdminOption) http.Handler { return nil }
