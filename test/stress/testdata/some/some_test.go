package some

import "testing"

func TestPasses(*testing.T) {}

func TestFails(t *testing.T) {
	t.Run("always", func(t *testing.T) { t.Error("as it is meant to") })
}
