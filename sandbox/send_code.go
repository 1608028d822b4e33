// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

// code is the same request in three languages.
type code struct {
	Curl string `json:"curl"`
	Node string `json:"node"`
	Go   string `json:"go"`
}

//go:embed code
var codeFiles embed.FS

// codeTemplates write a request and the code that makes it: amplitude.* to Amplitude's API, collector.* as a log record.
var codeTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"js": func(v any) string { return string(encode(v)) },
	"go": strconv.Quote,
}).ParseFS(codeFiles, "code/*.tmpl"))

// quoteShell quotes text as one POSIX shell word.
func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quoteGo quotes text as a Go string, without escapes where possible.
func quoteGo(text string) string {
	if strings.Contains(text, "\n") && strconv.CanBackquote(strings.ReplaceAll(text, "\n", "")) {
		return "`" + text + "`"
	}
	return strconv.Quote(text)
}

// execute writes a template, without a line break at its end.
func execute(name string, data any) string {
	var out strings.Builder
	if err := codeTemplates.ExecuteTemplate(&out, name+".tmpl", data); err != nil {
		return fmt.Sprintf("this code cannot be written: %v", err) // the template does not fit its data, which tests detect
	}
	return strings.TrimSpace(out.String())
}

func render(name string, data any) code {
	return code{Curl: execute(name+".curl", data), Node: execute(name+".node", data), Go: execute(name+".go", data)}
}

// keyVariable is the environment variable with the API key in code for Amplitude.
const keyVariable = "AMPLITUDE_API_KEY"

// amplitudeCode returns the request to one of Amplitude's APIs, with a key of the sandbox or, without one, the key from
// the environment.
func (f *exposureForm) amplitudeCode(url, key string) code {
	const mark = "@"
	before, after, _ := strings.Cut(f.upload(mark), mark) // the key comes first
	data := struct {
		URL, Shell, JS, Go string
		Env                bool // the key comes from the environment
	}{URL: url, Env: key == ""}
	if data.Env {
		data.Shell = quoteShell(before) + `"$` + keyVariable + `"` + quoteShell(after)
		data.JS = strings.TrimSuffix(before, `"`) + "process.env." + keyVariable + strings.TrimPrefix(after, `"`)
		data.Go = quoteGo(before) + ` + os.Getenv("` + keyVariable + `") + ` + quoteGo(after)
		return render("amplitude", data)
	}
	if realKey.MatchString(key) {
		key = "THE_API_KEY_OF_THIS_SANDBOX"
	}
	body := before + key + after
	data.Shell, data.JS, data.Go = quoteShell(body), body, quoteGo(body)
	return render("amplitude", data)
}

// collectorCode returns the request with a log record to a Collector.
func (f *exposureForm) collectorCode(url string) code {
	record := f.logRecord()
	return render("collector", struct {
		logRecord
		URL, Shell string
	}{record, url, quoteShell(record.otlp())})
}
