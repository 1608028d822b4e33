// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
)

// logHook writes each flag evaluation as a log record by OpenTelemetry's semantic conventions for
// feature flags. It is all that an application needs: register it once with [openfeature.AddHooks].
type logHook struct {
	openfeature.UnimplementedHook
	logger log.Logger
	books  *books
}

var _ openfeature.Hook = logHook{}

// Finally runs after every evaluation, failed ones included.
func (h logHook) Finally(ctx context.Context, hc openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	event := telemetry.CreateEvaluationEvent(hc, details)
	var record log.Record
	now := time.Now()
	record.SetTimestamp(now)
	record.SetEventName(event.Name)
	for name, value := range event.Attributes {
		record.AddAttributes(attribute.KeyValue{Key: attribute.Key(name), Value: logValue(value)})
	}
	h.logger.Emit(ctx, record)
	h.books.evaluated(hc.EvaluationContext().TargetingKey(), hc.FlagKey(), details.Variant, now)
}

// logValue converts what a flag can evaluate to.
func logValue(value any) attribute.Value {
	switch v := value.(type) {
	case string:
		return attribute.StringValue(v)
	case bool:
		return attribute.BoolValue(v)
	case int64:
		return attribute.Int64Value(v)
	case float64:
		return attribute.Float64Value(v)
	default:
		return attribute.StringValue(fmt.Sprint(v))
	}
}

// assignment returns the record of evaluating several flags at once: flag -> variant.
func assignment(userID string, variants map[string]string, at time.Time) log.Record {
	var record log.Record
	record.SetTimestamp(at)
	record.SetEventName("$assignment")
	values := make([]attribute.KeyValue, 0, len(variants))
	for flag, variant := range variants {
		values = append(values, attribute.String(flag, variant))
	}
	slices.SortFunc(values, func(a, b attribute.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	record.AddAttributes(attribute.String("user.id", userID), attribute.Map("variants", values...))
	return record
}

// order returns the record of a shopper's purchase.
func order(userID, id string, items int64, revenue float64, at time.Time) log.Record {
	var record log.Record
	record.SetTimestamp(at)
	record.SetEventName("order.placed")
	record.AddAttributes(
		attribute.String("user.id", userID), attribute.String("order.id", id), attribute.Int64("order.items", items),
		attribute.Float64("revenue", revenue), attribute.String("currency", "EUR"))
	return record
}

// unexposure returns the record of a shopper leaving an experiment: an exposure without a variant.
func unexposure(userID, flag string, at time.Time) log.Record {
	var record log.Record
	record.SetTimestamp(at)
	record.SetEventName("$exposure")
	record.AddAttributes(attribute.String("user.id", userID), attribute.String("flag_key", flag))
	return record
}
