// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// Attributes that LaunchDarkly's hooks write, now and before the conventions changed, and the ones with the same
// meaning in a record.
const (
	attrProviderName    = "feature_flag.provider.name"
	attrProviderNameOld = "feature_flag.provider_name"
	attrContextID       = "feature_flag.context.id"
	attrContextIDOld    = "feature_flag.context.key"
	attrVariationIndex  = "feature_flag.result.variationIndex"
	attrReasonKind      = "feature_flag.result.reason.kind"
	attrInExperiment    = "feature_flag.result.reason.inExperiment"
	attrVariant         = "feature_flag.result.variant"
	attrVariantOld      = "feature_flag.variant"
	attrValue           = "feature_flag.result.value"

	// attrContextKeys and attrContextKeysOld hold the kinds of a context with their keys, as a map or as its JSON text.
	attrContextKeys    = "feature_flag.contextKeys"
	attrContextKeysOld = "context.contextKeys"

	// attrCanonicalKey keeps the canonical key of a context if attrContextID holds something else.
	attrCanonicalKey = "launchdarkly.context.canonical_key"

	providerLaunchDarkly = "LaunchDarkly"
	jsonNull             = "null"
)

// launchDarkly translates what LaunchDarkly's hooks write. A nil *launchDarkly changes nothing.
type launchDarkly struct {
	contexts     contextReader
	groups       map[string]string
	preferValue  bool
	inExperiment bool
}

func newLaunchDarkly(cfg *LaunchDarklyConfig) *launchDarkly {
	l := &launchDarkly{
		contexts:     contextReader{userKind: cfg.UserKind},
		groups:       cfg.Groups,
		preferValue:  cfg.Variant == variantValue,
		inExperiment: cfg.OnlyInExperiment,
	}
	if len(cfg.ContextKinds) > 0 {
		l.contexts.known = setOf(cfg.ContextKinds)
		l.contexts.known[cfg.UserKind] = struct{}{}
		l.contexts.known[kindUser] = struct{}{}
	}
	return l
}

// isLaunchDarkly reports, by the provider's name, whether an evaluation came from LaunchDarkly's own hooks.
func isLaunchDarkly(attributes pcommon.Map) bool {
	for _, name := range [...]string{attrProviderName, attrProviderNameOld} {
		if value, ok := attributes.Get(name); ok && value.Type() == pcommon.ValueTypeStr && value.Str() == providerLaunchDarkly {
			return true
		}
	}
	return false
}

// skips reports whether an evaluation is left out because LaunchDarkly did not mark it as part of an experiment.
func (l *launchDarkly) skips(attributes pcommon.Map) bool {
	if l == nil || !l.inExperiment || !isLaunchDarkly(attributes) {
		return false
	}
	return !isInExperiment(attributes)
}

// isInExperiment reports whether LaunchDarkly marked an evaluation as part of an experiment. Its Python hook writes
// text.
func isInExperiment(attributes pcommon.Map) bool {
	value, ok := attributes.Get(attrInExperiment)
	if !ok {
		return false
	}
	switch value.Type() {
	case pcommon.ValueTypeBool:
		return value.Bool()
	case pcommon.ValueTypeStr:
		return strings.EqualFold(strings.TrimSpace(value.Str()), "true")
	default:
		return false
	}
}

// servedKinds are the kinds of reasons which imply that a variation was served.
var servedKinds = setOf([]string{"TARGET_MATCH", "RULE_MATCH", "FALLTHROUGH"})

// wasServed reports whether the reason proves that a variation was served.
func wasServed(attributes pcommon.Map) bool {
	if isInExperiment(attributes) {
		return true
	}
	kind, ok := attributes.Get(attrReasonKind)
	if !ok || kind.Type() != pcommon.ValueTypeStr {
		return false
	}
	_, served := servedKinds[strings.ToUpper(strings.TrimSpace(kind.Str()))]
	return served
}

// translate rewrites the attributes of a record to follow the conventions. It returns false if the evaluation's context
// has no user.
func (l *launchDarkly) translate(attributes pcommon.Map) (hasUser bool) {
	if l == nil || !isLaunchDarkly(attributes) {
		return true
	}
	l.translateVariant(attributes)
	if context, ok := contextKeys(attributes); ok {
		return l.translateKeys(attributes, context)
	}
	hasUser = true
	for _, name := range [...]string{attrContextID, attrContextIDOld} {
		if key, ok := attributes.Get(name); ok && key.Type() == pcommon.ValueTypeStr && key.Str() != "" {
			hasUser = l.translateContext(attributes, name, key) && hasUser
		}
	}
	return hasUser
}

// translateKeys does the same as translateContext, for keys that are separate already.
func (l *launchDarkly) translateKeys(attributes pcommon.Map, context flagContext) (hasUser bool) {
	user, hasUser := context.key(l.contexts.userKind)
	for _, name := range [...]string{attrContextID, attrContextIDOld} {
		id, ok := attributes.Get(name)
		if !ok || (hasUser && id.AsString() == user) {
			continue
		}
		attributes.PutStr(attrCanonicalKey, id.AsString())
		attributes.Remove(name)
	}
	if hasUser {
		attributes.PutStr(attrContextID, user)
	}
	l.putGroups(attributes, context)
	return hasUser
}

// putGroups writes the keys of kinds that are groups.
func (l *launchDarkly) putGroups(attributes pcommon.Map, context flagContext) {
	if len(l.groups) == 0 {
		return
	}
	for _, part := range context.parts() {
		if groupType, ok := l.groups[part.kind]; ok {
			putIfAbsent(attributes, amplitude.AttrGroupsPrefix+groupType, pcommon.NewValueStr(part.key))
		}
	}
}

// translateContext sets the attribute called name to the key of the context's user. Without a user, it removes the
// attribute: the key of an organization must not be mistaken for a user's.
func (l *launchDarkly) translateContext(attributes pcommon.Map, name string, key pcommon.Value) bool {
	canonical := key.Str()
	context := l.contexts.read(canonical)
	user, hasUser := context.key(l.contexts.userKind)
	switch {
	case !hasUser:
		attributes.Remove(name)
		attributes.PutStr(attrCanonicalKey, canonical)
	case user != canonical:
		key.SetStr(user)
		attributes.PutStr(attrCanonicalKey, canonical)
	}
	l.putGroups(attributes, context)
	return hasUser
}

// translateVariant turns the variation into a variant: its index, or its value if that is preferred and a scalar.
// Without a variation, LaunchDarkly served the application's default value, which must not be mistaken for a variant.
func (l *launchDarkly) translateVariant(attributes pcommon.Map) {
	for _, name := range [...]string{attrValue, attrVariantOld} {
		if value, ok := attributes.Get(name); ok && value.Type() == pcommon.ValueTypeStr {
			if text, isNull := fromJSON(value.Str()); isNull {
				attributes.Remove(name)
			} else if text != value.Str() {
				value.SetStr(text)
			}
		}
	}
	index, hasIndex := "", false
	value, given := attributes.Get(attrVariationIndex)
	if given {
		index, hasIndex = wholeNumber(value)
	}
	hasVariant := hasText(attributes, attrVariant)
	if !given && !hasVariant && !hasText(attributes, attrVariantOld) && wasServed(attributes) {
		index, hasIndex = "0", true // the browser plugin leaves out falsy values
	}
	switch {
	case !hasIndex && !hasVariant && !hasText(attributes, attrVariantOld):
		attributes.Remove(attrValue)
		return
	case l.preferValue:
		if text, ok := scalarText(attributes); ok {
			attributes.PutStr(attrVariant, text)
			return
		}
	}
	if hasIndex && !hasVariant {
		attributes.PutStr(attrVariant, index)
	}
}

// hasText reports whether an attribute is non-blank text or another scalar.
func hasText(attributes pcommon.Map, name string) bool {
	value, ok := attributes.Get(name)
	if !ok {
		return false
	}
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return strings.TrimSpace(value.Str()) != ""
	case pcommon.ValueTypeInt, pcommon.ValueTypeBool, pcommon.ValueTypeDouble:
		return true
	default:
		return false
	}
}

// scalarText returns the flag's value if it can be used as the variant.
func scalarText(attributes pcommon.Map) (string, bool) {
	value, ok := attributes.Get(attrValue)
	if !ok {
		return "", false
	}
	switch value.Type() {
	case pcommon.ValueTypeInt, pcommon.ValueTypeBool:
		return value.AsString(), true
	case pcommon.ValueTypeDouble:
		number := value.Double()
		return strconv.FormatFloat(number, 'f', -1, 64), !math.IsNaN(number) && !math.IsInf(number, 0)
	case pcommon.ValueTypeStr:
		text := strings.TrimSpace(value.Str())
		return value.Str(), text != "" && amplitude.UTF16Length(text) <= experiment.MaxValueVariant && text[0] != '{' && text[0] != '['
	default:
		return "", false
	}
}

// fromJSON returns the text of a JSON string, and any other text unchanged: LaunchDarkly's hooks write a flag's value
// as JSON, so the text ml arrives in quotes.
func fromJSON(text string) (decoded string, isNull bool) {
	if text == jsonNull {
		return "", true
	}
	if len(text) < 2 || text[0] != '"' {
		return text, false
	}
	if json.Unmarshal([]byte(text), &decoded) != nil {
		return text, false
	}
	return decoded, false
}

// wholeNumber returns the digits of a variation's index, which hooks write as an integer or as text.
func wholeNumber(value pcommon.Value) (string, bool) {
	var number int64
	switch value.Type() {
	case pcommon.ValueTypeInt:
		number = value.Int()
	case pcommon.ValueTypeDouble:
		if value.Double() != math.Trunc(value.Double()) || math.Abs(value.Double()) > math.MaxInt32 {
			return "", false
		}
		number = int64(value.Double())
	case pcommon.ValueTypeStr:
		parsed, err := strconv.ParseInt(strings.TrimSpace(value.Str()), 10, 64)
		if err != nil {
			return "", false
		}
		number = parsed
	default:
		return "", false
	}
	return strconv.FormatInt(number, 10), number >= 0
}
