package syncing

import (
	"log/slog"
	"time"
)

// throttled logs what goes wrong once in a while.
type throttled struct {
	last time.Time
	held int
}

const logEvery = 10 * time.Second

func (t *throttled) log(log *slog.Logger, what string, err error) {
	if now := time.Now(); now.Sub(t.last) >= logEvery {
		log.Error(what, "error", err, "unreported", t.held)
		t.last, t.held = now, 0
		return
	}
	t.held++
}
