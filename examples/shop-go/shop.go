// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/log"
)

type shop struct {
	logger log.Logger
	flags  *openfeature.Client
	books  *books
	random *rand.Rand
}

// shopper is one visitor; overrides holds the variants that support has forced.
type shopper struct {
	id        string
	overrides map[string]string
}

// open lets the shoppers in, spread over the duration, and serves each one's whole visit.
func (s *shop) open(ctx context.Context, shoppers int, duration time.Duration) error {
	pause := time.NewTicker(max(duration/time.Duration(max(shoppers, 1)), time.Microsecond))
	defer pause.Stop()
	for i := range shoppers {
		if err := s.visit(ctx, &shopper{id: fmt.Sprintf("shopper-%04d", i+1), overrides: map[string]string{}}, i); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
	return nil
}

// visit is one shopper's path through the shop. What happens to the n-th shopper is fixed, so that every kind of visit
// occurs; the number of page views is random.
func (s *shop) visit(ctx context.Context, who *shopper, n int) error {
	if err := s.signIn(ctx, who); err != nil {
		return err
	}
	if n%3 == 0 { // a second tab evaluates everything again
		if err := s.signIn(ctx, who); err != nil {
			return err
		}
	}
	for range 1 + s.random.IntN(4) { // every page view evaluates the flags it needs
		if err := s.view(ctx, who, holidayBanner, recommendations); err != nil {
			return err
		}
	}
	if err := s.view(ctx, who, checkoutFlow); err != nil {
		return err
	}
	switch n % 10 {
	case 4: // support moves the shopper to the other checkout, and back again
		original, err := s.evaluate(ctx, who, checkoutFlow)
		if err != nil {
			return err
		}
		for _, variant := range []string{other(original), original} {
			who.overrides[checkoutFlow] = variant
			if err := s.view(ctx, who, checkoutFlow); err != nil {
				return err
			}
		}
	case 7: // the shopper leaves the recommendations experiment
		now := time.Now()
		s.logger.Emit(ctx, unexposure(who.id, recommendations, now))
		s.books.unexposed(who.id, recommendations, now)
	}
	if err := s.view(ctx, who, freeShipping); err != nil {
		return err
	}
	return s.buy(ctx, who, n)
}

// buy lets every second shopper buy something, and three out of four of those with the one-page checkout.
func (s *shop) buy(ctx context.Context, who *shopper, n int) error {
	variant, err := resolve(checkoutFlow, who)
	if err != nil {
		return err
	}
	if (variant == "one-page" && n%4 == 3) || (variant != "one-page" && n%2 == 1) {
		return nil
	}
	items := int64(1 + n%3)
	now := time.Now()
	s.logger.Emit(ctx, order(who.id, fmt.Sprintf("order-%04d", n+1), items, 19.5*float64(items), now))
	s.books.ordered(variant)
	return nil
}

// signIn evaluates all experiments at once, as a server does when it renders the first page.
func (s *shop) signIn(ctx context.Context, who *shopper) error {
	variants := make(map[string]string, len(experiments))
	for _, flag := range experiments {
		variant, err := resolve(flag, who)
		if err != nil {
			return err
		}
		variants[flag] = variant
	}
	now := time.Now()
	s.logger.Emit(ctx, assignment(who.id, variants, now))
	s.books.assigned(who.id, variants, now)
	return nil
}

// resolve asks the provider directly, which is not an exposure.
func resolve(flag string, who *shopper) (string, error) {
	detail := flags()[flag]
	value, _ := detail.Resolve("", openfeature.FlattenedContext{openfeature.TargetingKey: who.id})
	variant, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("flag %q gave %v to %s, not a variant", flag, value, who.id)
	}
	return variant, nil
}

// view shows the shopper what the flags decide; each evaluation is an exposure.
func (s *shop) view(ctx context.Context, who *shopper, flags ...string) error {
	for _, flag := range flags {
		if _, err := s.evaluate(ctx, who, flag); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) evaluate(ctx context.Context, who *shopper, flag string) (string, error) {
	attributes := map[string]any{}
	if variant, ok := who.overrides[flag]; ok {
		attributes[forced] = variant
	}
	variant, err := s.flags.StringValue(ctx, flag, "", openfeature.NewEvaluationContext(who.id, attributes))
	if err != nil {
		return "", fmt.Errorf("evaluate flag %q for %s: %w", flag, who.id, err)
	}
	return variant, nil
}

func other(variant string) string {
	if variant == "control" {
		return "one-page"
	}
	return "control"
}
