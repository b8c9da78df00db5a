package commquic_test

import (
	"log/slog"
	"testing"

	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// quiet is a logger for tests in which things go wrong on purpose.
var quiet = slog.New(slog.DiscardHandler)
