// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "hafast"

const (
	// scrapeTimeout bounds the gathering of one scrape.
	scrapeTimeout = 10 * time.Second
	// maxScrapes bounds the scrapes in progress.
	maxScrapes = 4
)

// Metrics holds the collectors of one daemon. Make it with New.
type Metrics struct {
	registry *prometheus.Registry
	labels   labelSets

	instanceState     *prometheus.GaugeVec
	instancePriority  *prometheus.GaugeVec
	effectivePriority *prometheus.GaugeVec
	outOfService      *prometheus.GaugeVec
	transitions       *prometheus.CounterVec
	advertsSent       *prometheus.CounterVec
	advertsReceived   *prometheus.CounterVec
	sendErrors        *prometheus.CounterVec
	rivalClaims       *prometheus.CounterVec
	vipsMended        *prometheus.CounterVec

	advertsRejected *prometheus.CounterVec
	announcements   *prometheus.CounterVec
	takeoverPhase   *prometheus.HistogramVec

	checkUp         *prometheus.GaugeVec
	haproxyUp       *prometheus.GaugeVec
	haproxyRestarts prometheus.Counter

	configReloads *prometheus.CounterVec
	loopLateness  prometheus.Histogram

	dataPath    *dataPathCollector
	xdpFallback prometheus.Gauge
	leaseLapses prometheus.Counter
	falseAlarms prometheus.Counter
	leaseLate   prometheus.Histogram

	sync *syncCollector

	mu sync.Mutex
	// instances, interfaces and checks are those that have series.
	instances  map[string]identity
	interfaces map[string]struct{}
	checks     map[string]struct{}
}

// identity is the part of an instance that is in the labels of its state. The
// series of the old one go when it changes.
type identity struct {
	vrid uint8
	link string
}

// New returns the metrics of a daemon of this version, with a registry of their
// own.
func New(version string) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		labels:     newLabelSets(),
		instances:  map[string]identity{},
		interfaces: map[string]struct{}{},
		checks:     map[string]struct{}{},
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.defineInstance()
	m.defineHost()
	m.defineDataPath()

	m.gauge("build_info", "Always 1; the labels say what is running.", "version", "goversion", "revision").
		WithLabelValues(version, runtime.Version(), revision()).Set(1)
	for _, result := range []string{resultOK, resultRefused} {
		m.configReloads.WithLabelValues(result)
	}
	for _, kind := range m.labels.announcements {
		m.announcements.WithLabelValues(kind)
	}
	for _, phase := range m.labels.phases {
		m.takeoverPhase.WithLabelValues(phase)
	}
	return m
}

// defineInstance makes the collectors whose series belong to an instance. Each
// has the label "instance", by which Retain finds them.
func (m *Metrics) defineInstance() {
	m.instanceState = m.gauge("instance_state",
		"1 for the state the instance is in, 0 for the others.", "instance", "vrid", "interface", "state")
	m.instancePriority = m.gauge("instance_priority",
		"Configured VRRP priority.", "instance")
	m.effectivePriority = m.gauge("instance_effective_priority",
		"VRRP priority after tracking; 0 while out of service.", "instance")
	m.outOfService = m.gauge("out_of_service",
		"1 while this host asks not to be chosen for the instance.", "instance")
	m.transitions = m.counter("transitions_total",
		"Changes of state, by what brought them about.", "instance", "from", "to", "cause")
	m.advertsSent = m.counter("adverts_sent_total",
		"VRRP advertisements sent.", "instance")
	m.sendErrors = m.counter("advert_send_errors_total",
		"VRRP advertisements that could not be sent.", "instance")
	m.advertsReceived = m.counter("adverts_received_total",
		"Valid VRRP advertisements received.", "instance")
	m.rivalClaims = m.counter("rival_claims_total",
		"Times another host claimed a VIP while it was ours, by how.", "instance", "kind")
	m.vipsMended = m.counter("vips_mended_total",
		"VIPs put back after something else removed them, or removed after something else added them.", "instance")
}

// defineHost makes the collectors that belong to the host as a whole.
func (m *Metrics) defineHost() {
	m.advertsRejected = m.counter("adverts_rejected_total",
		"VRRP packets received and not used, by reason.", "interface", "reason")
	m.announcements = m.counter("announcements_total",
		"Announcements of VIPs sent: gratuitous ARP and unsolicited neighbour advertisements.", "kind")
	m.takeoverPhase = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace,
		Name:      "takeover_phase_seconds",
		Help:      "Time a takeover spent in each phase, and in total.",
		Buckets:   takeoverBuckets(),
	}, []string{"phase"})
	m.checkUp = m.gauge("check_up",
		"1 while the health check succeeds.", "check")
	m.haproxyUp = m.gauge("haproxy_up",
		"1 while the local haproxy is healthy; absent where it is not watched.")
	m.haproxyRestarts = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace,
		Name:      "haproxy_restarts_total",
		Help:      "Times the local haproxy was reloaded or came back as another process.",
	})
	m.configReloads = m.counter("config_reloads_total",
		"Reloads of the configuration: ok, or refused because the file is bad.", "result")
	m.loopLateness = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace,
		Name:      "loop_lateness_seconds",
		Help:      "How much later than its deadline a timer of the event loop was served.",
		Buckets:   latenessBuckets(),
	})
	m.registry.MustRegister(m.takeoverPhase, m.haproxyRestarts, m.loopLateness)
}

// defineDataPath makes the collectors of the data path and of state sync.
func (m *Metrics) defineDataPath() {
	m.dataPath = newDataPathCollector()
	m.xdpFallback = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace,
		Name:      "xdp_fallback",
		Help:      "1 while the XDP program should run and does not: this host is a plain VRRP daemon.",
	})
	m.leaseLapses = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace,
		Name:      "lease_lapses_total",
		Help:      "Times the lease ran out before the daemon renewed it, and this host stopped answering for its VIPs.",
	})
	m.leaseLate = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace,
		Name:      "lease_late_seconds",
		Help:      "How much later than planned the lease was renewed.",
		Buckets:   latenessBuckets(),
	})
	m.sync = newSyncCollector()
	m.falseAlarms = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace,
		Name:      "liveness_false_alarms_total",
		Help:      "Peers that were suspected and answered again: liveness.interval and multiplier are quicker than this network or these hosts.",
	})
	m.registry.MustRegister(m.dataPath, m.xdpFallback, m.leaseLapses, m.falseAlarms, m.leaseLate, m.sync)
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

// takeoverBuckets run from 10 us, a few system calls, to 1 s, a thousand VIPs on
// a busy host.
func takeoverBuckets() []float64 {
	return []float64{
		10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6,
		1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1,
	}
}

// latenessBuckets start at 50 us, below what a Go timer reaches, and end where
// a peer with 10 ms adverts has long taken over.
func latenessBuckets() []float64 {
	return []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 1}
}

// revision is the version control revision the binary was built from.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "unknown"
}

// Registry gives tests and additional collectors access to what Handler serves.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
		// A collector that fails costs its own series, not the scrape.
		ErrorHandling: promhttp.ContinueOnError,
	})
}
