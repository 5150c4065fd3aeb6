// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"hafast/internal/eventually"
)

func TestExitStatusOfAProcessThatIsNotReaped(t *testing.T) {
	f := startFake(t, "haproxy")
	p, err := openProc(f.pid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	f.signal(syscall.SIGKILL)
	if !p.wait() {
		t.Fatal("wait: hold was closed")
	}
	if got := p.exit().String(); got != "killed by signal 9" {
		t.Errorf("exit = %q", got)
	}
}

func TestExitStatusOfAReapedProcess(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "read x; exit 3")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := openProc(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	_ = in.Close()
	_ = cmd.Wait()
	if p.alive() {
		t.Error("alive after its end")
	}
	switch got := p.exit().String(); got {
	case "exited with status 3":
	case "exited, status unknown to this kernel":
		t.Skip("needs Linux 6.15")
	default:
		t.Errorf("exit = %q", got)
	}
}

func TestProcWithoutPidfd(t *testing.T) {
	f := startFake(t, "haproxy")
	p, err := openProc(f.pid())
	if err != nil {
		t.Fatal(err)
	}
	if p.fd != nil { // as on a kernel before 5.3
		_ = p.fd.Close()
		p.fd = nil
	}
	defer p.close()
	if !p.alive() {
		t.Fatal("not alive")
	}
	f.signal(syscall.SIGTERM)
	if !p.wait() || p.exit().String() != "killed by signal 15" {
		t.Errorf("exit = %q", p.exit())
	}
}

func TestOpenProcOfNobody(t *testing.T) {
	f := startFake(t, "haproxy")
	f.signal(syscall.SIGKILL)
	eventually.True(t, "a zombie is no process", func() bool {
		p, err := openProc(f.pid())
		if err == nil {
			p.close()
			return false
		}
		return errors.Is(err, errNoProcess)
	})
	f.reap()
	for _, pid := range []int{f.pid(), 0, -1} {
		if _, err := openProc(pid); !errors.Is(err, errNoProcess) {
			t.Errorf("openProc(%d) = %v", pid, err)
		}
	}
}

func TestParseStat(t *testing.T) {
	const tail = " Z 1 11491 11491 0 -1 4228172 125 0 0 0 0 0 0 0 20 0 1 0 120549 0 0 18446744073709551615 " +
		"0 0 0 0 0 0 0 6144 7348741 1 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 9\n"
	for _, tc := range []struct {
		name, text string
		want       stat
		bad        bool
	}{
		{name: "zombie", text: "11491 (haproxy)" + tail, want: stat{'Z', 120549, 9}},
		{name: "name with parentheses", text: "1 (a) R (b)" + tail, want: stat{'Z', 120549, 9}},
		{name: "cut short", text: "1 (a) Z 1 2 3", bad: true},
		{name: "no name", text: "1", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.text))
			if (err != nil) != tc.bad || got != tc.want {
				t.Errorf("parseStat = %+v, %v; want %+v, error %v", got, err, tc.want, tc.bad)
			}
		})
	}
}

func TestFailing(t *testing.T) {
	for _, tt := range []struct {
		name string
		code int
		want bool
	}{
		{"alive, or done", 0, false},
		{"killed", 9, true},
		{"crashed, core dumped", 11 | 0x80, true},
		{"gave up", 1 << 8, true},
		{"stopped", 19<<8 | 0x7f, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (stat{state: 'R', exitCode: tt.code}).failing(); got != tt.want {
				t.Errorf("failing() = %t, want %t", got, tt.want)
			}
		})
	}
}
