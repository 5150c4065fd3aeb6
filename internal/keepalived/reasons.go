// SPDX-License-Identifier: Apache-2.0

package keepalived

import (
	"slices"
	"strings"
)

// The reasons below say, for each keyword of keepalived.conf(5) that has no
// counterpart, what a person who migrates should know. false means that the
// keyword is not keepalived's.

const (
	noMail      = "hafast sends no mail; use a notify command or an alert on its metrics; left out"
	noSNMP      = "hafast has no SNMP or D-Bus; it has Prometheus metrics, 'hafast status' and 'hafast events'; left out"
	noLVS       = "hafast does no LVS; haproxy balances the load; left out"
	noBFD       = "hafast watches its peers without a BFD configuration; left out"
	noFIFO      = "hafast has no notify FIFO; 'hafast events --follow --json' gives the same; left out"
	noTuning    = "hafast's process is tuned by systemd (nice, CPU affinity, limits), not here; left out"
	noFirewall  = "hafast writes no firewall rules of its own choosing; left out"
	noBuffers   = "hafast sizes its socket buffers itself; left out"
	noReload    = "hafast reloads on SIGHUP and keeps the old file if the new one is bad; left out"
	noLinkbeat  = "hafast learns of link changes over netlink; left out"
	noRouting   = "hafast does not manage what stays on the host; put it into the network configuration; left out"
	noAdvertise = "hafast follows RFC 9568 here; left out"
	noRepeat    = "hafast answers a rival's advert or ARP with one announcement at once; left out"
)

const reasonHMAC = "hafast neither signs adverts nor looks at signatures, and a keepalived peer whose mode is enforce refuses what hafast sends: set mode receive-only or permissive there, or switch all hosts at the same time; left out"

// reasonMisplaced is for what has no meaning where it stands. keepalived
// ignores it, and so must hafast.
func reasonMisplaced(keyword string) string {
	if home := homeOf(keyword); home != "" {
		return "keepalived knows it in " + home + " alone and ignores it here; left out"
	}
	return "unknown keyword; left out"
}

// homeOf names the block that a keyword belongs into.
func homeOf(keyword string) string {
	known := func(reason func(string) (string, bool), taken string) bool {
		_, left := reason(keyword)
		return left || slices.Contains(strings.Fields(taken), keyword)
	}
	none := func(string) (string, bool) { return "", false }
	switch {
	case known(reasonTopLevel, "global_defs vrrp_script track_file vrrp_track_file vrrp_track_process vrrp_instance vrrp_sync_group"):
		return "no block, at the top,"
	case known(reasonGlobal, `router_id script_user default_interface vrrp_version v3_checksum_as_v2 vrrp_rt_priority max_auto_priority
		vrrp_mcast_group4 vrrp_mcast_group6 vrrp_garp_master_delay vrrp_garp_master_refresh vrrp_garp_master_repeat
		vrrp_garp_interval vrrp_gna_interval vrrp_min_garp`):
		return "global_defs"
	case known(reasonInstance, `virtual_ipaddress virtual_ipaddress_excluded virtual_routes virtual_rules unicast_peer authentication auth_hmac
		state interface virtual_router_id priority advert_int version preempt nopreempt preempt_delay unicast_src_ip mcast_src_ip use_vmac
		accept no_accept native_ipv6 garp_master_delay garp_master_refresh garp_master_repeat track_script track_interface`):
		return "a vrrp_instance"
	case known(none, "notify_master notify_backup notify_fault notify_stop notify"):
		return "a vrrp_instance or a vrrp_sync_group"
	case known(none, "auth_type auth_pass"):
		return "authentication"
	case known(none, "group global_tracking sync_group_tracking_weight"):
		return "a vrrp_sync_group"
	case known(none, "script interval timeout rise fall user init_fail"):
		return "a vrrp_script"
	case known(none, "process param_match quorum quorum_max delay fork_delay terminate_delay full_command"):
		return "a vrrp_track_process"
	case known(none, "weight"):
		return "a script, file or process that is tracked"
	case known(none, "file init_file"):
		return "a track_file"
	}
	return ""
}

func reasonTopLevel(keyword string) (string, bool) {
	switch keyword {
	case "static_ipaddress", "static_routes", "static_rules", "track_group":
		return noRouting, true
	case "virtual_server", "virtual_server_group", "SSL":
		return noLVS, true
	case "bfd_instance":
		return noBFD, true
	case "linkbeat_use_polling", "linkbeat_interfaces":
		return noLinkbeat, true
	case "interface_up_down_delays":
		return "hafast acts on a link change at once; left out", true
	case "garp_group":
		return "hafast paces announcements by announce.interval alone, for all interfaces; left out", true
	case "net_namespace", "net_namespace_ipvs", "namespace_with_ipsets":
		return "run hafast itself in the namespace (ip netns exec, or systemd's NetworkNamespacePath); left out", true
	case "instance", "use_pid_dir":
		return "hafast keeps its files in state_dir and its socket at control.socket; left out", true
	case "child_wait_time":
		return "hafast has no child daemons; left out", true
	}
	return "", false
}

func reasonGlobal(keyword string) (string, bool) {
	switch keyword {
	case "notification_email", "notification_email_from", "smtp_server", "smtp_helo_name", "smtp_connect_timeout",
		"smtp_alert", "smtp_alert_vrrp", "smtp_alert_checker", "no_email_faults", "no_checker_emails":
		return noMail, true
	case "snmp_socket", "enable_snmp_vrrp", "enable_snmp_checker", "enable_snmp_keepalived", "enable_snmp_rfc", "enable_snmp_rfcv2", "enable_snmp_rfcv3",
		"enable_traps", "enable_dbus", "dbus_service_name", "dbus_no_interface_name", "snmp_vs_stats_update_interval", "snmp_rs_stats_update_interval":
		return noSNMP, true
	case "lvs_sync_daemon", "lvs_timeouts", "lvs_flush", "lvs_flush_on_stop", "lvs_flush_onstop", "lvs_notify_fifo", "lvs_notify_fifo_script",
		"lvs_netlink_cmd_rcv_bufs", "lvs_netlink_cmd_rcv_bufs_force", "lvs_netlink_monitor_rcv_bufs", "lvs_netlink_monitor_rcv_bufs_force",
		"checker_log_all_failures", "rs_init_notifies", "nftables_ipvs", "nftables_ipvs_priority", "nftables_ipvs_start_fwmark":
		return noLVS, true
	case "notify_fifo", "notify_fifo_script", "vrrp_notify_fifo", "vrrp_notify_fifo_script", "fifo_write_vrrp_states_on_reload",
		"vrrp_notify_priority_changes":
		return noFIFO, true
	case "vrrp_priority", "checker_priority", "bfd_priority", "vrrp_no_swap", "checker_no_swap", "bfd_no_swap",
		"vrrp_cpu_affinity", "checker_cpu_affinity", "bfd_cpu_affinity", "vrrp_rlimit_rttime", "checker_rlimit_rttime", "bfd_rlimit_rttime",
		"vrrp_rlimit_rtime", "checker_rlimit_rtime", "bfd_rlimit_rtime", "checker_rt_priority", "bfd_rt_priority", "min_auto_priority_delay", "umask":
		return noTuning, true
	case "nftables", "nftables_priority", "nftables_counters", "nftables_ifindex", "vrrp_iptables", "vrrp_ipsets", "disable_local_igmp":
		return noFirewall, true
	case "vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs_force",
		"process_monitor_rcv_bufs", "process_monitor_rcv_bufs_force", "vrrp_rx_bufs_policy", "vrrp_rx_bufs_multiplier":
		return noBuffers, true
	case "reload_check_config", "reload_time_file", "reload_repeat", "reload_file", "tmp_config_directory", "config_save_dir", "include_check":
		return noReload, true
	case "process_names", "process_name", "vrrp_process_name", "checker_process_name", "bfd_process_name", "data_use_instance", "random_seed":
		return "names of keepalived's own processes and files; left out", true
	case "startup_script", "startup_script_timeout", "shutdown_script", "shutdown_script_timeout":
		return "use ExecStartPre= and ExecStopPost= of hafast's systemd unit; left out", true
	case "vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat":
		return noRepeat, true
	case "vrrp_garp_master_refresh_repeat":
		return "announce.refresh has no count of its own; left out", true
	case "vrrp_garp_extra_if":
		return "hafast announces each address on the interface it lives on; left out", true
	case "vrrp_lower_prio_no_advert", "vrrp_higher_prio_send_advert", "vrrp_down_timer_adverts":
		return noAdvertise, true
	case "vrrp_check_unicast_src", "vrrp_skip_check_adv_addr", "vrrp_strict":
		return "hafast checks adverts by RFC 9568 and counts what it rejects; left out", true
	case "vrrp_owner_ignore_adverts":
		return "an Active of priority 255 stays Active whatever it hears, in hafast too; left out", true
	case "use_symlink_paths":
		return "hafast runs commands by the path as it is written; left out", true
	case "set_supplementary_groups":
		return "hafast runs commands with all groups of their user; left out", true
	case "state_file_location", "stats_file_location", "json_file_location", "json_version":
		return "'hafast status --json' and the metrics have what keepalived dumps into files; left out", true
	case "iproute_usr_dir", "iproute_etc_dir":
		return "hafast takes routing tables by number; left out", true
	case "vrrp_startup_delay", "vrrp_delay_after_boot":
		return "hafast starts at once; order its unit after network-online.target, or set preempt_delay; left out", true
	case "dynamic_interfaces":
		return "in hafast an instance whose interface is missing is in fault until it appears; left out", true
	case "enable_script_security":
		return "hafast does not inspect who may write to a script; keep scripts and their directories writable by root alone; left out", true
	case "log_unknown_vrids":
		return "hafast counts adverts for other VRIDs in its metrics; left out", true
	case "vmac_prefix", "vmac_addr_prefix":
		return "hafast names its macvlan interfaces itself; left out", true
	case "namespace_with_ipsets", "net_namespace", "net_namespace_ipvs", "instance", "use_pid_dir", "linkbeat_use_polling", "child_wait_time":
		return reasonTopLevel(keyword)
	}
	return "", false
}

func reasonInstance(keyword string) (string, bool) {
	switch keyword {
	case "smtp_alert":
		return noMail, true
	case "timer_expired_backup":
		return "a host that stood still stops answering for its VIPs after liveness.lease; left out", true
	case "no_virtual_ipaddress":
		return "an instance of hafast has at least one VIP; left out", true
	case "owner_ignore_adverts":
		return reasonGlobal("vrrp_" + keyword)
	case "dont_track_primary":
		return "hafast always goes to fault while the instance's interface is down; left out", true
	case "debug":
		return "use log.level: debug; left out", true
	case "track_bfd":
		return noBFD, true
	case "use_vmac_addr", "vmac_xmit_base":
		return "virtual_mac is for the instance's own interface, and adverts leave through it; left out", true
	case "use_ipvlan":
		return "hafast makes no ipvlan interfaces; addresses live on the interface itself; left out", true
	case "vrf":
		return "hafast does not know VRFs; name the interface instead; left out", true
	case "mcast_dst_ip":
		return "hafast sends to 224.0.0.18 and ff02::12, or to peers with unicast: true; left out", true
	case "track_src_ip":
		return "hafast watches its interface, not the source address; left out", true
	case "check_unicast_src", "skip_check_adv_addr", "strict_mode":
		return "hafast checks adverts by RFC 9568 and counts what it rejects; left out", true
	case "unicast_ttl":
		return "hafast sends with TTL 255 and accepts nothing less (RFC 9568 section 5.1.1.3); left out", true
	case "unicast_fault_no_peer":
		return "hafast refuses unicast without peers when it reads its configuration; left out", true
	case "old_unicast_checksum":
		return "hafast accepts both checksums of RFC 9568 and keepalived, not that of keepalived before 1.3.7; left out", true
	case "garp_lower_prio_delay", "garp_lower_prio_repeat", "garp_master_refresh_repeat", "garp_extra_if", "vmac_garp_intvl":
		return reasonGlobal("vrrp_" + strings.Replace(keyword, "vmac_garp_intvl", "garp_extra_if", 1)) // its name in 2.2.2
	case "lower_prio_no_advert", "higher_prio_send_advert", "down_timer_adverts":
		return noAdvertise, true
	case "promote_secondaries":
		return "set net.ipv4.conf.*.promote_secondaries with sysctl; left out", true
	case "notify_master_rx_lower_pri", "notify_priority_changes", "notify_deleted":
		return "hafast has no command for this event; see 'hafast events'; left out", true
	case "kernel_rx_buf_size":
		return noBuffers, true
	case "linkbeat_use_polling":
		return noLinkbeat, true
	case "lvs_sync_daemon_interface", "lvs_sync_daemon":
		return noLVS, true
	}
	return "", false
}
