// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Claim is something under "amplitude." that an application may not set. Unless the settings accept shaped records,
// such attributes are stripped from every record that passes.
type Claim uint8

const (
	// ClaimOperator is an operation on properties of a user or group.
	ClaimOperator Claim = iota
	// ClaimInsertID sets the identity of the event: it could suppress another event.
	ClaimInsertID
	// ClaimField is any other field except identity, session, groups, device and location.
	ClaimField
	// NumClaims is the number of them.
	NumClaims
)

var claimNames = [NumClaims]string{"operator", "insert_id", "field"}

// String returns the name that metrics use.
func (c Claim) String() string { return claimNames[c] }

// Claims counts the stripped attributes by kind, with the name of one.
type Claims struct {
	Count   [NumClaims]int
	Example [NumClaims]string
	// Shaped is how many records looked like events that another Collector made.
	Shaped int
}

func (c *Claims) add(claim Claim, name string) {
	c.Count[claim]++
	c.Example[claim] = name
}

// claimOf returns the claim of an attribute that an application may not set, if it is one.
func claimOf(name string) (Claim, bool) {
	field, ok := strings.CutPrefix(name, amplitude.AttrPrefix)
	if !ok {
		return 0, false
	}
	switch field {
	case amplitude.FieldUserID, amplitude.FieldDeviceID, amplitude.FieldSessionID, amplitude.FieldGroups, amplitude.FieldSkipUserPropertiesSync:
		return 0, false
	case amplitude.FieldInsertID:
		return ClaimInsertID, true
	}
	if _, descriptive := amplitude.DescriptiveFields[field]; descriptive || strings.HasPrefix(name, amplitude.AttrGroupsPrefix) {
		return 0, false
	}
	outer, _, _ := strings.Cut(field, ".")
	if outer == amplitude.FieldUserProperties || outer == amplitude.FieldGroupProperties {
		return ClaimOperator, true
	}
	return ClaimField, true
}

// stripped is an attribute that was removed from the record at a position.
type stripped struct {
	position int
	name     string
}

// maxStripped bounds how many of them are reported to tap clients.
const maxStripped = 1000

// strip removes the claims from a record that passes, counts them, and notes them for tap clients.
func (p *parser) strip(record plog.LogRecord, position int, t *Trace) {
	steps.Add(record.Attributes().Len())
	record.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool {
		claim, claimed := claimOf(name)
		if claimed {
			p.claims.add(claim, name)
			t.claimed(name)
			if len(p.stripped) < maxStripped {
				p.stripped = append(p.stripped, stripped{position, name})
			}
		}
		return claimed
	})
}
