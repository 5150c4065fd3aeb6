// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"

	"github.com/spf13/cobra"

	"hafast/internal/config"
)

func newKeygen() *cobra.Command {
	return &cobra.Command{
		Use:     "keygen",
		GroupID: groupConfig,
		Short:   "Print a new key for the hosts of a pair to share",
		Long: `Print a new key: 32 random bytes in base64, on one line. Every host of a pair
needs the same one, in a file that only root can read. To change keys, a file may
hold two for a while: the first seals what is sent, both open what is received.`,
		Example: `  (umask 077; hafast keygen > /etc/hafast/sync.key)`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := config.NewKey(rand.Reader)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), key+"\n")
		},
	}
}
