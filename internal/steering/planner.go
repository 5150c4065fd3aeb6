// SPDX-License-Identifier: Apache-2.0

package steering

// Planner makes layouts, and remembers what makes the next one cheap and like
// the last: tables by their members, so that a target whose health flaps costs
// a look-up, and the numbers of services.
//
// A service keeps its number, Assigned.ID, for the life of the Planner; that of a
// service that is gone is given to another only after the 65,536 numbers have
// been through. The zero Planner is ready; it is not safe for concurrent use.
type Planner struct {
	numbers numbers
	tables  tableCache
}

// tableLimit is how many tables are kept, 4 MiB of them: four layouts of all
// different sets.
const tableLimit = 4 * MaxSets

// tableCache keeps tables by their members. It drops the one that was not used
// for the longest time when there are too many.
type tableCache struct {
	tables map[string]*cached
	plan   uint64
}

type cached struct {
	table []uint8
	// used is the plan that had it last.
	used uint64
}

// begin starts another plan.
func (c *tableCache) begin() { c.plan++ }

// get returns the members' table, which nobody may write to.
func (c *tableCache) get(members []member) []uint8 {
	key := make([]byte, 0, 17*MaxTargets)
	for _, m := range members {
		key = append(append(key, m.addr[:]...), m.place)
	}
	if hit := c.tables[string(key)]; hit != nil {
		hit.used = c.plan
		return hit.table
	}
	if c.tables == nil {
		c.tables = make(map[string]*cached)
	}
	if len(c.tables) >= tableLimit {
		c.dropOldest()
	}
	table := fill(members)
	c.tables[string(key)] = &cached{table, c.plan}
	return table
}

func (c *tableCache) dropOldest() {
	var oldest string
	least := c.plan + 1
	for key, entry := range c.tables {
		if entry.used < least {
			oldest, least = key, entry.used
		}
	}
	delete(c.tables, oldest)
}

// numbers gives services their numbers.
type numbers struct {
	entries map[Service]*entry
	// owners is by number, and grows until all have been given once.
	owners []Service
	next   uint16
	plan   uint64
}

type entry struct {
	id uint16
	// plan is the last one that had the service.
	plan uint64
}

// assign returns the number of each of the services, which are distinct and at
// most 2*MaxServices, so that there is always a number to be had.
func (n *numbers) assign(services []Service) []uint16 {
	if n.entries == nil {
		n.entries = make(map[Service]*entry)
	}
	n.plan++
	// First those that have one, so that nothing of theirs is given away.
	for _, s := range services {
		if e := n.entries[s]; e != nil {
			e.plan = n.plan
		}
	}
	out := make([]uint16, len(services))
	for i, s := range services {
		e := n.entries[s]
		if e == nil {
			e = &entry{id: n.take(s), plan: n.plan}
			n.entries[s] = e
		}
		out[i] = e.id
	}
	return out
}

// take finds the next number that no service of this plan has, and makes s its
// owner.
func (n *numbers) take(s Service) uint16 {
	for {
		id := n.next
		n.next++
		if int(id) == len(n.owners) {
			n.owners = append(n.owners, s)
			return id
		}
		former := n.owners[id]
		if n.entries[former].plan == n.plan {
			continue
		}
		delete(n.entries, former)
		n.owners[id] = s
		return id
	}
}
