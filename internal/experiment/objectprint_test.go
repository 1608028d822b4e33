// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// objectPrints are printed objects of the same kinds in many languages.
var objectPrints = map[string][]string{
	"JSON": {
		`{"columns":3}`, `["a","b"]`, `[]`, `{}`, `[1,2]`, `[true]`, "  {\"a\": 1}\n", `{"columns":3,"titl`, `"{\"columns\":3}"`, `"[1,2]"`,
	},
	"JavaScript": {`[object Object]`, `[object Map]`},
	"Java": {
		"Value(innerObject=MutableContext(delegate=MutableStructure(super=AbstractStructure(attributes={columns=Value(innerObject=3)}))))",
		"Value(innerObject=3)", "Value(innerObject=null)", "Value(innerObject=[Value(innerObject=a)])",
		"ImmutableStructure(super=AbstractStructure(attributes={}))", "{columns=3, title=x}", "[a, b]", "Optional[a=b]",
		"Optional[blue]", "OptionalInt[3]", "Optional.empty", "OptionalInt.empty",
		"com.example.Layout@1b6d3586", "Layout@3af49f1c", "[Ljava.lang.String;@1b6d3586", "Layout{columns=3, title='x'}", "Layout[columns=3, title=x]",
		"Value(innerObject=MutableContext(delegate=MutableStruc",
	},
	"Kotlin": {"Layout(columns=3, title=x)", "Structure(attributes={})"},
	"Python": {
		"{'columns': 3}", "['a', 'b']", "('a', 1)", "<app.Layout object at 0x7f2d3c1e5d90>", "<class 'app.Layout'>", "Layout(columns=3, title='x')",
		"OrderedDict([('columns', 3)])", "defaultdict(<class 'int'>, {'a': 1})", "Decimal('1.5')", "datetime.date(2026, 1, 1)", "frozenset({'a'})",
		"namespace(columns=3)", "{'columns': 3, 'tit",
	},
	"Ruby": {
		`{"columns"=>3}`, `{:columns=>3}`, `{columns: 3}`, `["a", :b]`, `[:a, :b]`, "#<Layout:0x000078e1c4b0a1f8 @columns=3>", "#<struct Layout columns=3>",
		"#<OpenStruct columns=3>", "#<Set: {1, 2}>",
	},
	".NET": {
		"System.Collections.Generic.Dictionary`2[System.String,System.Object]", "System.String[]", "System.Object", "OpenFeature.Model.Value",
		"OpenFeature.Model.Structure", "Shop.Layout[]", "Shop.Page`1[Shop.Layout]", "Layout { Columns = 3, Title = x }", "{ Columns = 3, Title = x }",
	},
	"Elixir": {`%{"columns" => 3}`, "%{columns: 3}", "%Shop.Layout{columns: 3}", "[columns: 3]", `%{"columns" => 3, "tit`},
	"Erlang": {"#{columns => 3}"},
	"Rust":   {`Struct(StructValue { fields: {"columns": Int(3)} })`, `{"columns": Int(3)}`, `Array([Int(1)])`, "Layout { columns: 3 }", "Struct(StructValue { fie"},
	"PHP":    {"Array"},
	"Perl":   {"HASH(0x55d0c8a3f2d8)", "ARRAY(0x55d0c8a3f2d8)"},
	"Dart":   {"Instance of 'Layout'", "{columns: 3}", "[a, b]"},
	"Lua":    {"table: 0x55d0c8a3f2d8"},
	"Scala":  {"Map(columns -> 3)", "List(1, 2)", "Vector(a)", "Set()", "Some(blue)", "Some(List(a))"},
	"Swift":  {`Optional("blue")`, "Optional(3)"},
	"Go": {
		"map[columns:3 title:x]", "map[]", "[a b]", "{3 x}", "&{3 x}", "&map[a:1]", "{Columns:3 Title:x}", `main.Layout{Columns:3, Title:"x"}`,
		`&main.Layout{Columns:3}`, `map[string]interface {}{"columns":3}`, `[]string{"a"}`, "<nil>",
	},
}

// names are variants that resemble printed objects but are not.
var names = []string{
	"treatment (new)", "treatment(new)", "v2.1", "group-b", "a=b", "price:10", "50% off", "B@home", "user@example.com", "shop.example.com", "[beta]",
	"(control)", "<b", "a{b", "#1", "&more", "x.y(z)", "System", "System.variant", "Layout.v2", "f(x)", "blue [dark]", `"unfinished`, "build@1234567890",
	"Arrays", "array", "Instance", "table", "Map", "List (new)", "%50", "100%{x", "hash(0x)", "Set", "map(a)", "f(x {y)",
	"big, red", "größe (M)", "🚀", "off", "0.25", "variant_1", "a [b, c]", "(a) or (b)", "Optional", "Optional (new)", "Optional.v2", "Some", "some(a)", "deploy@cafe1234", "hello {name}",
}

// TestPrintedObjectsAreNotVariants: a printed object is content, in whatever language.
func TestPrintedObjectsAreNotVariants(t *testing.T) {
	for language, prints := range objectPrints {
		for _, text := range prints {
			for _, isValue := range []bool{false, true} {
				_, state := variantText(pcommon.NewValueStr(text), isValue)
				assert.Equal(t, variantBad, state, "%s: %s", language, text)
			}
		}
	}
	for _, text := range names {
		got, state := variantText(pcommon.NewValueStr(text), false)
		assert.Equal(t, variantUsable, state, text)
		assert.Equal(t, text, got)
	}
}

// TestQuotedTextIsItsContent: a JSON string loses its quotes.
func TestQuotedTextIsItsContent(t *testing.T) {
	for quoted, want := range map[string]string{`"blue"`: "blue", ` "blue" `: "blue", `"gr\u00f6\u00dfe"`: "größe", `"a \"b\""`: `a "b"`} {
		got, state := variantText(pcommon.NewValueStr(quoted), true)
		assert.Equal(t, variantUsable, state, quoted)
		assert.Equal(t, want, got)
	}
	for _, nothing := range []string{`""`, `" "`, "null"} {
		_, state := variantText(pcommon.NewValueStr(nothing), true)
		assert.Equal(t, variantMissing, state, nothing)
	}
	_, state := variantText(pcommon.NewValueStr("null"), false)
	assert.Equal(t, variantUsable, state, "only of a value JSON says null")
}
