// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// flagMetadata is what the evaluation metadata of a flag says.
type flagMetadata struct {
	// isDefault is the default marker, if there is one.
	isDefault     bool
	hasDefault    bool
	dontTrack     bool
	noProperty    bool
	experimentKey string
	details       string
	// exposureEvent and deliveryMethod select the event that an integration of Amplitude's JavaScript client sends.
	exposureEvent, deliveryMethod string
}

// readMetadata reads the map that Amplitude's SDKs attach to a variant.
func readMetadata(m pcommon.Map) flagMetadata {
	var found flagMetadata
	var version, segment, flagType string // the first value of a duplicate key wins
	steps.Add(m.Len())
	for name, value := range m.All() {
		switch name {
		case metadataDefault:
			if is, ok := boolean(value); ok && !found.hasDefault {
				found.hasDefault, found.isDefault = true, is
			}
		case metadataTrackExposure:
			// Amplitude's SDKs do not accept text here.
			found.dontTrack = found.dontTrack || (value.Type() == pcommon.ValueTypeBool && !value.Bool())
		case metadataFlagType:
			if flagType == "" && value.Type() == pcommon.ValueTypeStr {
				flagType = value.Str()
			}
		case metadataExposureEvent:
			if found.exposureEvent == "" && value.Type() == pcommon.ValueTypeStr {
				found.exposureEvent = value.Str()
			}
		case metadataDeliveryMethod:
			if found.deliveryMethod == "" && value.Type() == pcommon.ValueTypeStr {
				found.deliveryMethod = value.Str()
			}
		case metadataExperimentKey:
			if text, ok := experimentKeyText(value); ok && found.experimentKey == "" {
				found.experimentKey = text
			}
		case metadataFlagVersion:
			if text, ok := keyText(value); ok && version == "" {
				version = text
			}
		case metadataSegmentName:
			if text, ok := keyText(value); ok && segment == "" {
				segment = text
			}
		}
	}
	found.noProperty = flagType == flagTypeMutualExcluded
	if version != "" && segment != "" {
		found.details = amplitude.Truncate("v"+version+" rule:"+segment, amplitude.MaxStringLength)
	}
	return found
}

func experimentKeyText(value pcommon.Value) (string, bool) {
	text, ok := keyText(value)
	return amplitude.Truncate(text, amplitude.MaxStringLength), ok
}

// recordMetadata reads the metadata of an exposure or evaluation: the map, else flat attributes.
func recordMetadata(v *fieldValues) (found flagMetadata) {
	if v.answered&metadataFields == 0 {
		return found
	}
	if v.found(fieldMetadata) {
		found = v.metadata
	}
	if v.found(fieldMetadataDefault) && !found.hasDefault {
		found.hasDefault, found.isDefault = true, v.isTrue(fieldMetadataDefault)
	}
	if v.found(fieldMetadataTrack) && !v.isTrue(fieldMetadataTrack) {
		found.dontTrack = true
	}
	if v.text(fieldMetadataType) == flagTypeMutualExcluded {
		found.noProperty = true
	}
	if found.exposureEvent == "" {
		found.exposureEvent = v.text(fieldMetadataEvent)
	}
	if found.deliveryMethod == "" {
		found.deliveryMethod = v.text(fieldMetadataDelivery)
	}
	if found.experimentKey == "" {
		found.experimentKey = v.text(fieldMetadataExperimentKey)
	}
	return found
}
