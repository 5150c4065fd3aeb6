// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	resultOK      = "ok"
	resultRefused = "refused"
)

// Instance is what is known of a virtual router at a moment.
type Instance struct {
	Name      string
	VRID      uint8
	Interface string
	// State is a vrrp.State's name.
	State string
	// Priority is the configured one, Effective what tracking makes of it.
	Priority, Effective uint8
	OutOfService        bool
}

// SetInstance shows the instance as it is now; the first call for a name makes
// its series. A changed VRID or interface replaces the series that carry the old
// one and leaves the counters.
func (m *Metrics) SetInstance(inst Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := identity{vrid: inst.VRID, link: inst.Interface}
	if old, known := m.instances[inst.Name]; !known {
		m.startInstance(inst.Name)
	} else if old != id {
		m.instanceState.DeletePartialMatch(prometheus.Labels{"instance": inst.Name})
	}
	m.instances[inst.Name] = id
	m.startInterface(inst.Interface)

	vrid := strconv.Itoa(int(inst.VRID))
	for _, state := range m.labels.states {
		m.instanceState.WithLabelValues(inst.Name, vrid, inst.Interface, state).Set(truth(state == inst.State))
	}
	m.instancePriority.WithLabelValues(inst.Name).Set(float64(inst.Priority))
	m.effectivePriority.WithLabelValues(inst.Name).Set(float64(inst.Effective))
	m.outOfService.WithLabelValues(inst.Name).Set(truth(inst.OutOfService))
}

// startInstance makes the counters of a new instance, at 0.
func (m *Metrics) startInstance(name string) {
	m.advertsSent.WithLabelValues(name)
	m.advertsReceived.WithLabelValues(name)
	m.sendErrors.WithLabelValues(name)
	m.vipsMended.WithLabelValues(name)
	for _, kind := range m.labels.rivals {
		m.rivalClaims.WithLabelValues(name, kind)
	}
}

// startInterface makes the counters of a new interface, at 0.
func (m *Metrics) startInterface(name string) {
	if _, known := m.interfaces[name]; known {
		return
	}
	m.interfaces[name] = struct{}{}
	for _, reason := range m.labels.reasons {
		m.advertsRejected.WithLabelValues(name, reason)
	}
}

// Retain deletes the series of every instance and check that is not listed, and
// of every interface that no listed instance uses. It is called after a reload.
func (m *Metrics) Retain(instances, checks []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := members(instances)
	used := map[string]struct{}{}
	for name, id := range m.instances {
		if _, kept := keep[name]; kept {
			used[id.link] = struct{}{}
			continue
		}
		m.deleteInstance(name)
		delete(m.instances, name)
	}
	for link := range m.interfaces {
		if _, kept := used[link]; !kept {
			m.advertsRejected.DeletePartialMatch(prometheus.Labels{"interface": link})
			delete(m.interfaces, link)
		}
	}
	keep = members(checks)
	for check := range m.checks {
		if _, kept := keep[check]; !kept {
			m.checkUp.DeleteLabelValues(check)
			delete(m.checks, check)
		}
	}
}

func (m *Metrics) deleteInstance(name string) {
	label := prometheus.Labels{"instance": name}
	for _, vec := range []*prometheus.GaugeVec{m.instanceState, m.instancePriority, m.effectivePriority, m.outOfService} {
		vec.DeletePartialMatch(label)
	}
	for _, vec := range []*prometheus.CounterVec{m.transitions, m.advertsSent, m.advertsReceived, m.sendErrors, m.rivalClaims, m.vipsMended} {
		vec.DeletePartialMatch(label)
	}
}

// Transition counts a change of state. From and to are names of vrrp.State,
// cause is a vrrp.Cause or one of the Cause constants here.
func (m *Metrics) Transition(instance, from, to, cause string) {
	m.transitions.WithLabelValues(instance, m.labels.states.bound(from), m.labels.states.bound(to), m.labels.causes.bound(cause)).Inc()
}

// TakeoverPhase records how long one of the Phase constants took.
func (m *Metrics) TakeoverPhase(phase string, d time.Duration) {
	m.takeoverPhase.WithLabelValues(m.labels.phases.bound(phase)).Observe(d.Seconds())
}

// AdvertSent counts an advertisement sent, to one peer or to the group.
func (m *Metrics) AdvertSent(instance string) {
	m.advertsSent.WithLabelValues(instance).Inc()
}

// AdvertSendFailed counts an advertisement that the system refused to send.
func (m *Metrics) AdvertSendFailed(instance string) {
	m.sendErrors.WithLabelValues(instance).Inc()
}

// AdvertReceived counts an advertisement that was valid and reached the instance.
func (m *Metrics) AdvertReceived(instance string) {
	m.advertsReceived.WithLabelValues(instance).Inc()
}

// AdvertRejected counts a packet on the interface that was not used; reason is a
// vrrp.Reject.
func (m *Metrics) AdvertRejected(iface, reason string) {
	m.advertsRejected.WithLabelValues(iface, m.labels.reasons.bound(reason)).Inc()
}

// RivalClaim counts another host's claim to a VIP of ours: KindARP, KindNA or
// KindAdvert.
func (m *Metrics) RivalClaim(instance, kind string) {
	m.rivalClaims.WithLabelValues(instance, m.labels.rivals.bound(kind)).Inc()
}

// VIPMended counts a VIP that was put back where it belongs, or taken from where
// it does not.
func (m *Metrics) VIPMended(instance string) {
	m.vipsMended.WithLabelValues(instance).Inc()
}

// Announced counts n announcements sent: KindARP or KindNA.
func (m *Metrics) Announced(kind string, n int) {
	m.announcements.WithLabelValues(m.labels.announcements.bound(kind)).Add(float64(max(n, 0)))
}

// CheckUp shows the outcome of a health check.
func (m *Metrics) CheckUp(check string, up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checks[check] = struct{}{}
	m.checkUp.WithLabelValues(check).Set(truth(up))
}

// HAProxyUp shows the health of the local haproxy.
func (m *Metrics) HAProxyUp(up bool) {
	m.haproxyUp.WithLabelValues().Set(truth(up))
}

// HAProxyUnwatched removes the health of haproxy, after it has been turned off
// in the configuration.
func (m *Metrics) HAProxyUnwatched() { m.haproxyUp.Reset() }

// HAProxyRestarted counts a reload of haproxy, or its return as another process.
func (m *Metrics) HAProxyRestarted() { m.haproxyRestarts.Inc() }

// ConfigReloaded counts a reload; err is why it was refused, nil when it was not.
func (m *Metrics) ConfigReloaded(err error) {
	result := resultOK
	if err != nil {
		result = resultRefused
	}
	m.configReloads.WithLabelValues(result).Inc()
}

// LoopLateness records how much after its deadline a timer was served.
func (m *Metrics) LoopLateness(d time.Duration) { m.loopLateness.Observe(d.Seconds()) }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func members(names []string) map[string]struct{} {
	all := make(map[string]struct{}, len(names))
	for _, name := range names {
		all[name] = struct{}{}
	}
	return all
}
