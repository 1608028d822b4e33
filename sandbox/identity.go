// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"container/list"
	"time"
)

// user is one Amplitude ID: a person with a user_id, or an anonymous device.
type user struct {
	id         int64
	userID     string // "" while anonymous
	devices    []string
	properties properties
	held       holding
	history    []Change // oldest first
	forgotten  int      // changes dropped from the history
	// historyBytes is the part of the held bytes that is history: at most half.
	historyBytes int64
	fields       map[string]any
	groups       map[string]any
	updates      []secondCount // property updates of the last hour
	flags        map[string]*flagState
	flagCount    int // runs of flags
	mergedFrom   []int64
	mergedInto   int64
	events       int
	duplicates   int
	newest       float64 // time of the newest event, ms
	eventID      string  // of the last event
	propertyTime int64   // time of the newest event that changed properties, ms; kept in OrderTime only
	first        time.Time
	last         time.Time
	recency      *list.Element
}

// secondCount is a number of property updates in one second.
type secondCount struct {
	second int64
	n      int
}

// userDevices bounds the devices kept per user.
const userDevices = 1000

// countUpdate counts one property update and reports whether it is within the hourly limit.
func (u *user) countUpdate(now time.Time, limit int) bool {
	second := now.Unix()
	drop, sum := 0, 0
	for _, s := range u.updates {
		if s.second <= second-3600 {
			drop++
			continue
		}
		sum += s.n
	}
	u.updates = u.updates[drop:]
	if sum >= limit {
		return false
	}
	if n := len(u.updates); n > 0 && u.updates[n-1].second == second {
		u.updates[n-1].n++
	} else {
		u.updates = append(u.updates, secondCount{second, 1})
	}
	return true
}

// remember appends to the history, which is bounded in number and in bytes.
func (u *user) remember(c Change, limit int) {
	u.history = append(u.history, c)
	count := func(bytes int64) {
		u.historyBytes += bytes
		u.held.add(bytes)
	}
	count(c.size())
	drop := 0
	for drop < len(u.history) && (len(u.history)-drop > limit || u.historyBytes > u.held.limit/2) {
		count(-u.history[drop].size())
		u.history[drop] = Change{}
		drop++
	}
	steps(1 + drop)
	u.history = u.history[drop:]
	u.forgotten += drop
}

// at returns the properties as they were after the event seq, by rolling back the history; false if the history does
// not go back that far.
func (u *user) at(seq uint64) (properties, bool) {
	if u.forgotten > 0 && (len(u.history) == 0 || u.history[0].Seq > seq) {
		return nil, false
	}
	then := make(properties, len(u.properties))
	for name, value := range u.properties {
		then[name] = value
	}
	for i := len(u.history) - 1; i >= 0 && u.history[i].Seq > seq; i-- {
		if c := u.history[i]; c.existed {
			then[c.Property] = c.Before
		} else {
			delete(then, c.Property)
		}
	}
	return then, true
}

// identities resolves user and device ids to users, as Amplitude tracks unique users.
type identities struct {
	limit   int
	bytes   int64 // of one user
	held    int64 // of all users
	next    int64
	byID    map[int64]*user
	byUser  map[string]*user
	devices map[string]*user // the last user of each device
	shared  map[string]int   // devices of more than one user_id: how many
	recent  *list.List       // least recently seen first
	evicted int
}

// firstAmplitudeID makes the ids look realistic.
const firstAmplitudeID = 1_000_000_000_001

func newIdentities(limit int, bytes int64) *identities {
	return &identities{
		limit: limit, bytes: bytes, next: firstAmplitudeID,
		byID: map[int64]*user{}, byUser: map[string]*user{}, devices: map[string]*user{}, shared: map[string]int{}, recent: list.New(),
	}
}

// resolve returns the user of an event and binds its device to it.
func (s *identities) resolve(userID, deviceID string, now time.Time) *user {
	last := s.devices[deviceID]
	var u *user
	switch {
	case userID == "":
		u = last
	case s.byUser[userID] != nil:
		u = s.byUser[userID]
		if last != nil && last != u && last.userID == "" && last.mergedInto == 0 {
			last.mergedInto = u.id
			if len(u.mergedFrom) < userDevices {
				u.mergedFrom = append(u.mergedFrom, last.id)
			}
		}
	case last != nil && last.userID == "":
		u = last
		u.userID = userID
		s.byUser[userID] = u
	}
	if u == nil {
		u = s.create(userID, now)
	}
	u.last = now
	s.recent.MoveToBack(u.recency)
	if last != u {
		s.bind(deviceID, u)
	}
	return u
}

// userCost is the base size of a user.
const userCost = 1024

func (s *identities) create(userID string, now time.Time) *user {
	for len(s.byID) >= s.limit {
		s.forget(s.recent.Front().Value.(*user))
		s.evicted++
	}
	u := &user{
		id: s.next, userID: userID, properties: properties{}, flags: map[string]*flagState{}, first: now,
		held: holding{limit: s.bytes, all: &s.held},
	}
	u.held.add(userCost + int64(len(userID)))
	s.next++
	u.recency = s.recent.PushBack(u)
	s.byID[u.id] = u
	if userID != "" {
		s.byUser[userID] = u
	}
	return u
}

// deviceCost is the size of a device without its id.
const deviceCost = 128

// bind makes u the last user of a device.
func (s *identities) bind(deviceID string, u *user) {
	before := s.devices[deviceID]
	s.devices[deviceID] = u
	steps(len(u.devices))
	for _, known := range u.devices {
		if known == deviceID {
			return
		}
	}
	if len(u.devices) >= userDevices {
		oldest := u.devices[0]
		if s.devices[oldest] == u {
			delete(s.devices, oldest)
		}
		u.held.add(-deviceCost - int64(len(oldest)))
		u.devices = append(u.devices[:0], u.devices[1:]...)
	}
	u.devices = append(u.devices, deviceID)
	u.held.add(deviceCost + int64(len(deviceID)))
	if before != nil && before.userID != "" && u.userID != "" && (len(s.shared) < s.limit || s.shared[deviceID] > 0) {
		s.shared[deviceID] = max(1, s.shared[deviceID]) + 1
	}
}

// usersOf returns the number of user ids known to have used a device.
func (s *identities) usersOf(deviceID string) int { return max(1, s.shared[deviceID]) }

// updatesSince returns the number of property updates in the last seconds.
func (u *user) updatesSince(now time.Time, seconds int64) int {
	sum := 0
	for i := len(u.updates) - 1; i >= 0 && u.updates[i].second > now.Unix()-seconds; i-- {
		sum += u.updates[i].n
	}
	return sum
}

func (s *identities) forget(u *user) {
	s.recent.Remove(u.recency)
	s.held -= u.held.bytes
	u.held.all = nil
	delete(s.byID, u.id)
	if u.userID != "" {
		delete(s.byUser, u.userID)
	}
	for _, d := range u.devices {
		if s.devices[d] == u {
			delete(s.devices, d)
			delete(s.shared, d)
		}
	}
}

// find returns a user by user_id, else by device_id.
func (s *identities) find(id string) *user {
	if u := s.byUser[id]; u != nil {
		return u
	}
	return s.devices[id]
}
