// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// exportingFailed starts what exporterhelper logs about each failed attempt, at levels up to error.
const exportingFailed = "Exporting failed."

// quiet returns a logger that writes those lines at debug level: an outage has many of them, and some wrongly say that
// events are dropped. Deliver logs what matters.
func quiet(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return quietCore{core} }))
}

type quietCore struct{ zapcore.Core }

func (c quietCore) With(fields []zapcore.Field) zapcore.Core { return quietCore{c.Core.With(fields)} }

func (c quietCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if strings.HasPrefix(e.Message, exportingFailed) {
		e.Level = zapcore.DebugLevel
	}
	return c.Core.Check(e, checked)
}
