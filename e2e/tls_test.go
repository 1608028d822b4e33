// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// writePEM writes a block to a file that only its owner can read.
func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// privateAuthority writes ca.pem, and server.pem and server.key for 127.0.0.1, and returns the authority.
func privateAuthority(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "sandbox"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, key.Public(), caKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", caDER)
	writePEM(t, filepath.Join(dir, "server.pem"), "CERTIFICATE", serverDER)
	writePEM(t, filepath.Join(dir, "server.key"), "PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(caDER)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// proxy is an HTTP proxy that asks for a password and only makes tunnels.
type proxy struct {
	*httptest.Server
	tunnels, refused atomic.Int64
}

func newProxy(t *testing.T, user, password string) *proxy {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if u, secret, ok := check.BasicAuth(); !ok || u != user || secret != password || r.Method != http.MethodConnect {
			p.refused.Add(1)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		far, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = far.Close()
			return
		}
		p.tunnels.Add(1)
		_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(far, near)
			_ = far.Close()
		}()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}))
	t.Cleanup(p.Close)
	return p
}

// TestPrivateAuthorityAndProxy sends to an HTTPS sandbox: first without its authority, then with it, through a proxy
// that requires a password.
func TestPrivateAuthorityAndProxy(t *testing.T) {
	const password = "proxy-PASSWORD-4711"
	certificates := t.TempDir()
	pool := privateAuthority(t, certificates)
	far := harness.Start(t, "testdata/sandbox_tls.yaml", harness.Options{Dir: certificates})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	stored := func() int {
		response, err := client.Get("https://" + far.Sandbox + "/_sandbox/events")
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		var page struct {
			Events []any `json:"events"`
		}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&page))
		return len(page.Events)
	}
	endpoint := "E2E_ENDPOINT=https://" + far.Sandbox + "/2/httpapi"
	dir := t.TempDir()
	sender := harness.Start(t, "testdata/limits.yaml", harness.Options{Dir: dir, Env: []string{endpoint, "E2E_LOG_LEVEL=debug"}})
	sender.SendLogs(t, exposures(0, 5))
	require.Eventually(t, func() bool { return strings.Contains(sender.Logs(), "certificate signed by unknown authority") }, patience, 20*time.Millisecond,
		"the log says what is wrong")
	assert.Zero(t, stored())
	sender.Stop(t)

	gate := newProxy(t, "collector", password)
	sender = harness.Start(t, "testdata/limits.yaml", harness.Options{Addresses: sender.Addresses, Dir: dir, Env: []string{
		endpoint, "E2E_LOG_LEVEL=debug", "E2E_CA=" + filepath.Join(certificates, "ca.pem"),
		"E2E_PROXY=http://collector:" + password + "@" + strings.TrimPrefix(gate.URL, "http://"),
	}})
	sender.SendLogs(t, exposures(5, 5))
	require.Eventually(t, func() bool { return stored() == 10 }, patience, 20*time.Millisecond, "what waited also arrives")
	assert.Positive(t, gate.tunnels.Load(), "through the proxy")
	assert.Zero(t, gate.refused.Load())

	// A proxy that becomes unavailable is an outage like any other, and its password is not in the log.
	gate.CloseClientConnections()
	gate.Close()
	sender.SendLogs(t, exposures(10, 5))
	require.Eventually(t, func() bool { return strings.Contains(sender.Logs(), "proxyconnect") || stored() == 15 }, patience, 20*time.Millisecond)
	sender.Stop(t)
	assert.NotContains(t, sender.Logs(), password)
}
