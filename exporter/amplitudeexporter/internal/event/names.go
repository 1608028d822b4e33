// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

// manyNames is the size from which an object's names are looked up in a map rather than one by one.
const manyNames = 32

// nameSets keeps JSON objects, which may be nested, free of duplicate keys. The names of all open objects are in one
// slice, so that ordinary events need no allocation.
type nameSets struct {
	names []string
	large map[levelName]struct{}
}

// levelName is a name in the object opened at a level.
type levelName struct {
	level int
	name  string
}

// open starts an object inside the open ones and returns its level.
func (s *nameSets) open() int {
	return len(s.names)
}

// add reports whether name is new in the innermost object, whose level open returned.
func (s *nameSets) add(level int, name string) bool {
	own := s.names[level:]
	if len(own) < manyNames {
		if contains(own, name) {
			return false
		}
		s.names = append(s.names, name)
		return true
	}
	if s.large == nil {
		s.large = map[levelName]struct{}{}
	}
	if len(own) == manyNames {
		for _, seen := range own {
			s.large[levelName{level, seen}] = struct{}{}
		}
	}
	if _, seen := s.large[levelName{level, name}]; seen {
		return false
	}
	s.large[levelName{level, name}] = struct{}{}
	s.names = append(s.names, name)
	return true
}

// close ends the object of this level.
func (s *nameSets) close(level int) {
	if own := s.names[level:]; len(own) >= manyNames {
		for _, name := range own {
			delete(s.large, levelName{level, name})
		}
	}
	clear(s.names[level:])
	s.names = s.names[:level]
}

// contains compares the ends of names first: those of one event often start the same.
func contains(names []string, name string) bool {
	if len(name) < 8 {
		for _, seen := range names {
			if seen == name {
				return true
			}
		}
		return false
	}
	end := load64(name, len(name)-8)
	for _, seen := range names {
		if len(seen) == len(name) && load64(seen, len(seen)-8) == end && seen == name {
			return true
		}
	}
	return false
}
