// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// clientField is an amplitude.<field> that describes the user's device or location.
type clientField struct {
	name   string
	text   string
	number float64
}

// clientFields are the fields from the resource of a client.
type clientFields struct {
	fields []clientField
	// weight is how many bytes of text they hold.
	weight int
}

// Attributes of client resources, and the fields they become.
const (
	attrOSName     = "os.name"
	attrLanguage   = "telemetry.sdk.language"
	languageWeb    = "webjs"
	platformWeb    = "Web"
	osIOS          = "iOS"
	osAndroid      = "Android"
	maxLatitude    = 90
	maxLongitude   = 180
	attrLatitude   = "geo.location.lat"
	attrLongitude  = "geo.location.lon"
	browserPrefix  = "browser."
	devicePrefix   = "device."
	attrCarrier    = "network.carrier.name"
	installationID = "app.installation.id"
)

var (
	singleFields = []struct{ attribute, field string }{
		{"service.version", "app_version"},
		{"browser.language", "language"},
		{"user_agent.original", "user_agent"},
	}
	// Amplitude resets the fields of a group that an event leaves out, so a group is sent completely or not at all.
	// Amplitude fills in the brand itself, and there is no convention for a market area (dma).
	deviceGroup = []struct {
		attributes []string
		field      string
	}{
		{[]string{attrOSName}, "os_name"},
		{[]string{"os.version"}, "os_version"},
		{[]string{"device.manufacturer"}, "device_manufacturer"},
		{[]string{"device.model.name", "device.model.identifier"}, "device_model"},
	}
	locationGroup = []struct{ attribute, field string }{
		{"geo.country.iso_code", "country"},
		{"geo.region.iso_code", "region"},
		{"geo.locality.name", "city"},
	}
)

// clientCache remembers the client fields of the current resource.
type clientCache struct {
	fields *clientFields
	known  bool
}

func (c *clientCache) of(resource pcommon.Map) *clientFields {
	if !c.known {
		c.fields, c.known = readClientFields(resource), true
	}
	return c.fields
}

// readClientFields reads device, location and application from the resource of a client. It returns nil for any other
// resource, because a server's resource describes the server.
func readClientFields(resource pcommon.Map) *clientFields {
	platform, isClient := clientPlatform(resource)
	if !isClient {
		return nil
	}
	c := &clientFields{}
	for _, f := range singleFields {
		if text := attributeText(resource, f.attribute); text != "" {
			c.add(f.field, text)
		}
	}
	c.addDeviceGroup(resource, platform)
	c.addLocation(resource)
	return c
}

// size is the number of bytes that an event copies of them.
func (c *clientFields) size() int {
	if c == nil {
		return 0
	}
	return c.weight
}

func (c *clientFields) add(name, text string) {
	text = amplitude.Truncate(text, amplitude.MaxStringLength)
	c.fields = append(c.fields, clientField{name: amplitude.AttrPrefix + name, text: text})
	c.weight += len(text)
}

func (c *clientFields) addDeviceGroup(resource pcommon.Map, platform string) {
	start := len(c.fields)
	for _, f := range deviceGroup {
		text := ""
		for _, attribute := range f.attributes {
			if text = attributeText(resource, attribute); text != "" {
				break
			}
		}
		if text == "" {
			c.fields = c.fields[:start]
			return
		}
		c.add(f.field, text)
	}
	if platform == "" {
		c.fields = c.fields[:start]
		return
	}
	c.add("platform", platform)
	if carrier := attributeText(resource, attrCarrier); carrier != "" {
		c.add("carrier", carrier)
	}
}

func (c *clientFields) addLocation(resource pcommon.Map) {
	start := len(c.fields)
	for _, f := range locationGroup {
		text := attributeText(resource, f.attribute)
		if text == "" {
			c.fields = c.fields[:start]
			break
		}
		c.add(f.field, text)
	}
	lat, hasLat := attributeNumber(resource, attrLatitude, maxLatitude)
	lng, hasLng := attributeNumber(resource, attrLongitude, maxLongitude)
	if hasLat && hasLng {
		c.fields = append(c.fields,
			clientField{name: amplitude.AttrPrefix + "location_lat", number: lat},
			clientField{name: amplitude.AttrPrefix + "location_lng", number: lng})
	}
}

// clientPlatform reports whether a resource belongs to a client, and returns its platform.
func clientPlatform(resource pcommon.Map) (platform string, isClient bool) {
	steps.Add(resource.Len())
	for name, value := range resource.All() {
		switch {
		case strings.HasPrefix(name, browserPrefix):
			return platformWeb, true
		case name == attrLanguage:
			switch value.AsString() {
			case languageWeb:
				return platformWeb, true
			case "swift", "kotlin":
				isClient = true
			}
		case name == attrOSName:
			if os := value.AsString(); os == osIOS || os == osAndroid {
				platform, isClient = os, true
			}
		case name == installationID, strings.HasPrefix(name, devicePrefix):
			isClient = true
		}
	}
	return platform, isClient
}

func attributeText(m pcommon.Map, name string) string {
	value, ok := steps.Get(m, name)
	if !ok {
		return ""
	}
	text, ok := keyText(value)
	if !ok {
		return ""
	}
	return strings.TrimSpace(text)
}

func attributeNumber(m pcommon.Map, name string, limit float64) (float64, bool) {
	value, ok := steps.Get(m, name)
	if !ok {
		return 0, false
	}
	var number float64
	switch value.Type() {
	case pcommon.ValueTypeDouble:
		number = value.Double()
	case pcommon.ValueTypeInt:
		number = float64(value.Int())
	default:
		return 0, false
	}
	return number, number >= -limit && number <= limit
}

// userIP returns the user's address from the record, or from the resource of a client.
func userIP(v *fieldValues, client *clientFields) string {
	if !v.inRecord(fieldClientAddress) && (client == nil || !v.found(fieldClientAddress)) {
		return ""
	}
	return parseIP(v.text(fieldClientAddress))
}

// parseIP returns an address in its canonical form, or "" for a host name, a socket path or a word such as $remote.
func parseIP(text string) string {
	address, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(text), "[]"))
	if err != nil {
		return ""
	}
	return address.WithZone("").Unmap().String()
}
