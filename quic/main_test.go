package commquic_test

import (
	"testing"

	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
