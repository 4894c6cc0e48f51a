package notify

import (
	"encoding/xml"
	"net/url"
)

// toast is a notice as Windows takes it. It is encoded here because the library
// pastes texts into a template, where they can be markup.
type toast struct {
	XMLName    xml.Name      `xml:"toast"`
	Activation string        `xml:"activationType,attr"`
	Launch     string        `xml:"launch,attr,omitempty"`
	Template   toastTexts    `xml:"visual>binding"`
	Audio      toastAudio    `xml:"audio"`
	Actions    *toastActions `xml:"actions"`
}

type toastTexts struct {
	Template string   `xml:"template,attr"`
	Texts    []string `xml:"text"`
}

type toastAudio struct {
	Silent bool `xml:"silent,attr"`
}

type toastActions struct {
	Action []toastAction `xml:"action"`
}

type toastAction struct {
	Activation string `xml:"activationType,attr"`
	Content    string `xml:"content,attr"`
	Arguments  string `xml:"arguments,attr"`
}

// toastXML encodes n. What comes back when it is pressed holds cause and action.
func toastXML(n Notice) (string, error) {
	t := toast{
		Activation: "foreground",
		Launch:     toastArguments(n.Cause, n.Click),
		Template:   toastTexts{"ToastGeneric", []string{oneLine(n.Title, titleLimit), lines(n.Body, bodyLimit)}},
		Audio:      toastAudio{Silent: true},
	}
	var buttons []toastAction
	for _, a := range n.Actions {
		if a.ID != "" {
			buttons = append(buttons, toastAction{"foreground", oneLine(a.Label, labelLimit), toastArguments(n.Cause, a)})
		}
	}
	if buttons != nil {
		t.Actions = &toastActions{buttons}
	}
	text, err := xml.Marshal(t)
	return string(text), err
}

func toastArguments(cause string, a Action) string {
	if a.ID == "" {
		return ""
	}
	return url.Values{"cause": {cause}, "action": {a.ID}}.Encode()
}

// pressed reads the arguments of a toast; action is "" for what is not ours.
func pressed(arguments string) (cause, action string) {
	v, err := url.ParseQuery(arguments)
	if err != nil {
		return "", ""
	}
	return v.Get("cause"), v.Get("action")
}
