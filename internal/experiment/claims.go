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

// Claim is what an attribute under "amplitude." claims that an application has no say in. Where the settings do not
// accept shaped records, such attributes are stripped, whatever the record is and wherever it passes.
type Claim uint8

const (
	// ClaimOperator is an operation on properties of a user or group.
	ClaimOperator Claim = iota
	// ClaimInsertID says which event the record is: it could hide another one.
	ClaimInsertID
	// ClaimField is any other field but identity, session, groups, device and place.
	ClaimField
	// NumClaims is the number of them.
	NumClaims
)

var claimNames = [NumClaims]string{"operator", "insert_id", "field"}

// String returns the word that metrics count by.
func (c Claim) String() string { return claimNames[c] }

// Claims are how many attributes were stripped, by what they claimed, and the name of one.
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

// claimOf tells what an attribute claims that an application has no say in, if anything.
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

// stripped is an attribute that was taken out of the record at a position.
type stripped struct {
	position int
	name     string
}

// maxStripped bounds how many of them are told to who watches.
const maxStripped = 1000

// strip takes the claims out of the record at a position, which passes, counts them, and notes them for who watches.
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
