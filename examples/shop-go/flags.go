// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"hash/fnv"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
)

// The shop's experiments, and one flag that is the same for everyone and therefore not an experiment.
const (
	checkoutFlow    = "checkout-flow"
	recommendations = "recommendations"
	freeShipping    = "free-shipping"
	holidayBanner   = "holiday-banner"
)

// experiments lists the flags whose evaluation is an exposure.
var experiments = []string{checkoutFlow, recommendations, freeShipping}

// forced is the evaluation-context attribute that support staff use to put a shopper into a variant.
const forced = "forced_variant"

func flags() map[string]memprovider.InMemoryFlag {
	return map[string]memprovider.InMemoryFlag{
		checkoutFlow:    split(checkoutFlow, "control", "one-page"),
		recommendations: split(recommendations, "control", "carousel", "grid"),
		// Not "off": in an assignment, that name means that the user is not in a variant.
		freeShipping: split(freeShipping, "control", "free"),
		holidayBanner: {
			Key: holidayBanner, State: memprovider.Enabled, DefaultVariant: "snow",
			Variants: map[string]any{"snow": "snow"},
		},
	}
}

// split returns a flag that assigns its variants evenly by targeting key; each variant's value is its name.
func split(key string, variants ...string) memprovider.InMemoryFlag {
	values := make(map[string]any, len(variants))
	for _, v := range variants {
		values[v] = v
	}
	evaluate := func(flag memprovider.InMemoryFlag, user openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail) {
		if variant, ok := user[forced].(string); ok {
			return flag.Variants[variant], openfeature.ProviderResolutionDetail{Reason: openfeature.TargetingMatchReason, Variant: variant}
		}
		id, _ := user[openfeature.TargetingKey].(string)
		h := fnv.New32a()
		_, _ = h.Write([]byte(flag.Key + "/" + id))
		variant := variants[int(h.Sum32()>>8)%len(variants)]
		return flag.Variants[variant], openfeature.ProviderResolutionDetail{Reason: openfeature.SplitReason, Variant: variant}
	}
	return memprovider.InMemoryFlag{
		Key: key, State: memprovider.Enabled, DefaultVariant: variants[0], Variants: values, ContextEvaluator: &evaluate,
	}
}
