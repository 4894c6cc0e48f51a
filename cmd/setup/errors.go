package setup

import (
	"context"
	"errors"
	"strings"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/desk"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/vault"
	"github.com/keytray/keytray/loan"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/outlet"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/route"
	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

// The exit codes of both programs.
const (
	ExitDone     = 0
	ExitFailed   = 1
	ExitUsage    = 2
	ExitKeychain = 3
	ExitLogin    = 4
	ExitLater    = 5
)

// hintedError is an error that knows its exit code and what helps.
type hintedError struct {
	error
	exit int
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// Usage makes err the error of a call that cannot be understood.
func Usage(err error, hint string) error { return &hintedError{err, ExitUsage, hint} }

// Exit gives err an exit code that is not one of ours, because another program's
// command has it.
func Exit(code int, err error) error { return &hintedError{err, code, ""} }

// Hinted adds to err what helps.
func Hinted(err error, hint string) error { return &hintedError{err, ExitFailed, hint} }

// Silent is an error that the program which asked has been told of: no person wants
// to hear of it.
func Silent(err error) error { return &silentError{err} }

type silentError struct{ error }

func (e *silentError) Unwrap() error { return e.error }

// IsSilent reports whether err is one of Silent.
func IsSilent(err error) bool {
	_, ok := errors.AsType[*silentError](err)
	return ok
}

// wrongClient is what helps where a server does not take the provider's client.
const wrongClient = "check client and endpoints: `keytray providers show PROVIDER`; a secret that has changed: `keytray login PROVIDER --client-secret-file FILE`"

// OneLine writes joined errors in one line.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Explain is the one place where errors become exit codes and hints.
func Explain(err error) (code int, hint string) {
	if e, ok := errors.AsType[*hintedError](err); ok {
		return e.exit, e.hint
	}
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return ExitKeychain, e.Hint
	}
	if e, ok := errors.AsType[*worker.FailureError](err); ok {
		return e.Exit, plain.Text(e.Hint)
	}
	if e, ok := errors.AsType[*keeper.LoginRequiredError](err); ok {
		return ExitLogin, plain.Text(e.Condition().Command)
	}
	if e, ok := errors.AsType[*export.UnfitError](err); ok {
		return ExitUsage, unfitHint(e)
	}
	if e, ok := errors.AsType[*export.CrossVendorError](err); ok && e.Key {
		return ExitUsage, "name a login of " + e.Tool + ", or add --gateway if the tool is set up to ask a gateway that takes the key"
	} else if ok {
		return ExitUsage, "use an API key, or add --allow-cross-vendor if the plan's terms allow it"
	}
	if e, ok := errors.AsType[*client.OwnedError](err); ok {
		return ExitFailed, ownedHint(e)
	}
	if e, ok := errors.AsType[*client.RefusedError](err); ok {
		return ExitFailed, e.Hint
	}
	if e, ok := errors.AsType[*disk.UnsafeError](err); ok {
		return ExitFailed, e.Hint
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Code == "access_denied" {
		return ExitFailed, "sign in again and allow the access"
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok && (e.Code == "invalid_client" || e.Code == "unauthorized_client") {
		return ExitFailed, wrongClient
	}
	if e, ok := errors.AsType[*keeper.PasteError](err); ok {
		return ExitFailed, e.Hint
	}
	for _, c := range []struct {
		is   error
		code int
		hint string
	}{
		{keychain.ErrLocked, ExitKeychain, "unlock the login keyring, then run the command again; `keytray doctor` shows its state"},
		{keychain.ErrDismissed, ExitKeychain, "run the command again and unlock the keyring in the dialog"},
		{keychain.ErrUnavailable, ExitKeychain, "start a Secret Service (gnome-keyring, KWallet or KeePassXC), or keep secrets in encrypted files from now on: the same command with --keychain file"},
		{keychain.ErrWedged, ExitKeychain, "the keychain does not answer; restart it, then run the command again"},
		{sink.ErrForeignHost, ExitFailed, "if the other machine does not use it any more: `keytray doctor --fix`"},
		{sink.ErrAbandoned, ExitFailed, "sign in again: `keytray login PROVIDER`"},
		{keeper.ErrSignedOut, ExitFailed, "sign in again if you want it back"},
		{sink.ErrDatabase, ExitFailed, "`keytray doctor --fix`, without --state-dir and KEYTRAY_STATE_DIR, moves the logins to Keytray's own folder; none is lost"},
		{sink.ErrMirrorMissing, ExitLogin, "`keytray doctor --fix` restores the file from the keychain; without a login: `keytray login PROVIDER`"},
		{sink.ErrUnknownProfile, ExitLogin, "see `keytray status`, or sign in with `keytray login PROVIDER`"},
		{sink.ErrAmbiguous, ExitUsage, "name one of them"},
		{keeper.ErrNoDeviceLogin, ExitUsage, "sign in through a browser here, or paste what one elsewhere ends on: `keytray login PROVIDER --paste`"},
		{oauth.ErrNoDevice, ExitFailed, "allow it in the security settings of your account there, or sign in without --device"},
		{keeper.ErrNoBrowserLogin, ExitUsage, "`keytray login PROVIDER --device` if it has a login with a code, or paste a secret of it: `keytray models auth setup-token`, `paste-token` or `paste-api-key`, with --provider"},
		{keeper.ErrCannotPaste, ExitUsage, "`keytray models auth paste-token` and `paste-api-key` take what any provider issues"},
		{desk.ErrNoDialog, ExitFailed, "install zenity or kdialog, or run the command in a terminal: `keytray --help`"},
		{desk.ErrNoClipboard, ExitFailed, "`keytray token --show` in a terminal shows the token"},
		{sink.ErrNoChoice, ExitFailed, "`keytray which PROVIDER` says why not, `keytray models auth order` changes their order"},
		{sink.ErrOtherProvider, ExitUsage, "see `keytray status`"},
		{sink.ErrSessionKey, ExitUsage, ""},
		{sink.ErrAgentExists, ExitFailed, "see `keytray agents list`"},
		{sink.ErrRenews, ExitFailed, "sign in for the other agent too: `keytray login PROVIDER --agent NAME`"},
		{route.ErrBareModel, ExitUsage, "say PROVIDER/MODEL, or MODEL@PROFILE"},
		{keeper.ErrUnknownProvider, ExitUsage, "`keytray providers list` shows those that are known, `keytray providers add` adds one"},
		{sink.ErrNoClientKey, ExitFailed, "keytray login PROVIDER --client-secret-file FILE"},
		{keeper.ErrPinned, ExitFailed, "if the change is right, sign in again: `keytray login PROVIDER`"},
		{keeper.ErrMisconfigured, ExitFailed, wrongClient},
		{keeper.ErrTaken, ExitFailed, "choose another id with --profile-id"},
		{sink.ErrOtherAccount, ExitFailed, "keep both with --profile-id, or log the old one out first"},
		{sink.ErrMovingAway, ExitFailed, "put the file back, then run the command again; or, if it was taken along: `keytray logout PROFILE`"},
		{sink.ErrUnsettled, ExitLater, "renew it first: `keytray refresh PROFILE`"},
		{sink.ErrFileExists, ExitFailed, "name another file"},
		{sink.ErrReceived, ExitFailed, "delete the file: it is worthless; to move a login once more, export it anew"},
		{keeper.ErrOwn, ExitFailed, "keep the one that is here, or sign it out first: `keytray logout PROFILE`"},
		{sealed.ErrRecipient, ExitUsage, "the other machine tells: `keytray doctor` there, its age identity, or ~/.ssh/id_ed25519.pub"},
		{sealed.ErrNotForUs, ExitFailed, "name the identity that it was sealed for: --identity FILE"},
		{sealed.ErrExpired, ExitFailed, "have it exported anew"},
		{sealed.ErrDamaged, ExitFailed, "copy it again: a part of it is missing or was changed"},
		{sealed.ErrNotSealed, ExitFailed, "it must be what `keytray export --sealed` wrote"},
		{sealed.ErrForeign, ExitFailed, "it must be what `keytray export --sealed` wrote"},
		{sealed.ErrNewer, ExitFailed, "update Keytray here"},
		{sealed.ErrPassphrase, ExitKeychain, "run the command in a terminal, which asks for it, and name the sealed file instead of stdin"},
		{sealed.ErrKey, ExitUsage, "name an age identity (age-keygen makes one) or an SSH key of ed25519: --identity FILE"},
		{sink.ErrImporting, ExitLater, "make the file readable again, then run the command again; nothing was lost"},
		{sink.ErrExists, ExitFailed, "sign the one that is here out first: `keytray logout PROFILE`"},
		{keeper.ErrNear, ExitLater, "use the program once, so that it renews its login, then run the command again"},
		{keeper.ErrStays, ExitFailed, "sign in here anew with `keytray login PROVIDER`, or leave it with its program"},
		{client.ErrUnknownProgram, ExitUsage, "one of " + strings.Join(client.Programs(), ", ")},
		{client.ErrNothing, ExitFailed, "sign in with that program first, or here with `keytray login PROVIDER`"},
		{client.ErrBusy, ExitLater, "try again when the program is done, or close it"},
		{client.ErrChanged, ExitLater, "try again in a moment; nothing was moved"},
		{client.ErrFormat, ExitFailed, "let the program write its file anew, or repair it"},
		{keeper.ErrUnrenewed, ExitLater, "leave out --no-refresh, or let the tray or `keytray watch` renew it"},
		{export.ErrPlanToken, ExitUsage, "`keytray run -- claude` hands it over as CLAUDE_CODE_OAUTH_TOKEN would; --gateway says that a gateway takes it"},
		{export.ErrNotAWS, ExitUsage, "paste one: `keytray models auth paste-api-key --provider aws`, as AKIA...:SECRET or ASIA...:SECRET:SESSION"},
		{keeper.ErrShortLife, ExitFailed, "ask for less with --min-ttl"},
		{loan.ErrLinks, ExitFailed, "on Windows turn on Developer Mode, or keep Codex's own file current: `keytray sync add --format codex`"},
		{loan.ErrOwn, ExitFailed, "end the `keytray run` in which it signed in: that login then goes to its real home"},
		{outlet.ErrUnknown, ExitUsage, "see `keytray sync list`"},
		{outlet.ErrKept, ExitFailed, "`keytray sync remove FILE` ends that"},
		{outlet.ErrChanged, ExitFailed, "take the token out of it, or delete the file"},
		{outlet.ErrDamaged, ExitFailed, "delete that file, then `keytray sync add` what is missing"},
		{sink.ErrNoRefresh, ExitFailed, ""},
		{oauth.ErrTimeout, ExitFailed, "run the command again"},
		{keeper.ErrLater, ExitLater, "try again in a moment; nothing was lost"},
		{sink.ErrNotSaved, ExitLater, "unlock the keyring and run the command again; nothing was lost"},
		{sink.ErrBusy, ExitLater, "try again in a moment"},
		{worker.ErrBadRequest, ExitUsage, ""},
		{context.Canceled, ExitFailed, ""},
	} {
		if errors.Is(err, c.is) {
			return c.code, c.hint
		}
	}
	if _, ok := errors.AsType[*sink.MirrorError](err); ok {
		return ExitFailed, "`keytray doctor --fix` sets the file aside and rebuilds it from the keychain"
	}
	return ExitFailed, ""
}

func ownedHint(e *client.OwnedError) string {
	if client.Shared(e.Program) {
		return "move it here first: `keytray import " + e.Program + "`"
	}
	return "remove that file, or choose another one"
}

func unfitHint(e *export.UnfitError) string {
	if len(e.Fitting) == 0 {
		return ""
	}
	return "formats that can: " + strings.Join(e.Fitting, ", ")
}
