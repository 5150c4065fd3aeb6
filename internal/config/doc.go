// SPDX-License-Identifier: Apache-2.0

// Package config turns hafast.yaml into a [Config].
//
// A file goes through four steps, each of which collects problems instead of
// stopping at the first:
//
//	bytes ──tree.go──> YAML nodes ──decode.go──> Config ──defaults.go──> Config ──validate.go──> Config
//	        text?        aliases     schema.go    + Places   values that               rules between
//	        YAML?        copied in   (the tables)            follow from others        several keys
//
// schema.go is the single source of what a file may say: one row per key with its
// type, default, unit and meaning. The decoder reads by these rows, the defaults
// are decoded from the rows' own text, and docs/CONFIG.md is checked against them.
//
// What goes wrong is reported as [Errors]: each names the file, the line, what is
// wrong and what would be right.
package config
