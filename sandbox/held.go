// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"container/list"
	"encoding/json"
)

// Retention.PropertyBytes bounds what users, groups and experiments keep: one user may keep a quarter of it, the groups
// of all projects another quarter, the counts of their experiments another, and all users the whole. The least recently
// seen users are dropped first.
const heldShare = 4

// holding is how much one user or group keeps, in bytes.
type holding struct {
	bytes, limit int64
	// all is the total of all users, or of all groups, of a project.
	all *int64
}

// add adds to the count; bytes may be negative.
func (h *holding) add(bytes int64) {
	h.bytes += bytes
	if h.all != nil {
		*h.all += bytes
	}
}

// fits reports whether there is room.
func (h *holding) fits(bytes int64) bool { return h.bytes+bytes <= h.limit }

// valueCost is the size of a value without its text.
const valueCost = 32

// weigh estimates the size of a decoded value in bytes.
func weigh(v any) int64 {
	steps(1)
	switch t := v.(type) {
	case string:
		return valueCost + int64(len(t))
	case json.Number:
		return valueCost + int64(len(t))
	case []any:
		sum := int64(valueCost)
		for _, x := range t {
			sum += weigh(x)
		}
		return sum
	case map[string]any:
		sum := int64(valueCost)
		for k, x := range t {
			sum += valueCost + int64(len(k)) + weigh(x)
		}
		return sum
	default:
		return valueCost
	}
}

// size estimates the size of a change in bytes.
func (c *Change) size() int64 {
	const overhead = 160
	return overhead + int64(len(c.Property)) + weigh(c.Before) + weigh(c.After)
}

// group is a group with its properties.
type group struct {
	properties
	held    holding
	key     string
	recency *list.Element
}

// groups are those of one project.
type groups struct {
	limit  int64
	held   int64
	byKey  map[string]*group
	recent *list.List // least recently changed first
}

func newGroups(limit int64) *groups {
	return &groups{limit: limit, byKey: map[string]*group{}, recent: list.New()}
}

// groupCost is the size of a group without its properties.
const groupCost = 256

// of returns a group, adding it if it is new. The least recently changed groups are dropped.
func (s *groups) of(key string) *group {
	g := s.byKey[key]
	if g == nil {
		g = &group{properties: properties{}, key: key, held: holding{limit: s.limit / 2, all: &s.held}}
		g.recency = s.recent.PushBack(g)
		s.byKey[key] = g
		g.held.add(groupCost + int64(len(key)))
	}
	s.recent.MoveToBack(g.recency)
	return g
}

// shed drops groups until the rest fits.
func (s *groups) shed() {
	for s.held > s.limit && s.recent.Len() > 1 {
		oldest := s.recent.Remove(s.recent.Front()).(*group)
		s.held -= oldest.held.bytes
		delete(s.byKey, oldest.key)
	}
}

// shed drops the least recently seen users, except the current one, until the rest fits.
func (s *store) shed(current *user) {
	for {
		var held int64
		var from *identities
		var oldest *user
		for _, p := range s.order {
			held += p.identities.held
			for at := p.identities.recent.Front(); at != nil; at = at.Next() {
				u := at.Value.(*user)
				if u == current {
					continue
				}
				if oldest == nil || u.last.Before(oldest.last) {
					from, oldest = p.identities, u
				}
				break
			}
		}
		if held <= s.config.Retention.PropertyBytes || oldest == nil {
			return
		}
		from.forget(oldest)
		from.evicted++
	}
}
