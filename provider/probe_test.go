package provider_test

import (
	"strings"
	"testing"

	"github.com/keytray/keytray/provider"
)

func TestProbeIsChecked(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		probe       provider.Probe
	}{
		{"good", "", provider.Probe{Endpoint: "https://a.test/v1/models", Headers: map[string]string{"version": "1"}}},
		{"http", "probe.endpoint", provider.Probe{Endpoint: "http://a.test/"}},
		{"none", "probe.endpoint", provider.Probe{}},
		{"the secret's", "probe.headers", provider.Probe{Endpoint: "https://a.test/", Headers: map[string]string{"X-Api-Key": "1"}}},
		{"another host", "probe.headers", provider.Probe{Endpoint: "https://a.test/", Headers: map[string]string{"Host": "b.test"}}},
		{"two lines", "probe.headers", provider.Probe{Endpoint: "https://a.test/", Headers: map[string]string{"a": "1\r\nb: 2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := provider.Provider{ID: "a", Name: "A", APIKey: &provider.Static{Header: "x-api-key", Probe: &tt.probe}}
			err := p.Validate()
			if (err == nil) != (tt.field == "") || err != nil && !strings.HasPrefix(err.Error(), "api_key."+tt.field+":") {
				t.Errorf("err = %v, want about %q", err, tt.field)
			}
		})
	}
}
