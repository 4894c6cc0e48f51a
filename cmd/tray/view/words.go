package view

import (
	"fmt"
	"strings"
	"time"
)

// Words are all texts of the tray in one language. Those that hold a % are
// formats; what goes in is a name, a number or a length of time, as their use
// in this package says.
type Words struct {
	// The first line of the menu.
	AllGood, NeedsYou, NeedYou, NoLogins, KeychainLocked, KeychainAbsent, PausedNow, SigningIn string

	// The menu.
	SignIn, AnotherAccount, WithCode, SetupToken, APIKey              string
	PageAgain, PasteURL, CancelSignIn                                 string
	RefreshNow, UseFirst, CopyToken, SignInAgain, Remove              string
	Notifications, TellEvery, StartAtLogin, Pause, OpenLog, Diagnose  string
	Unlock, Quit, More                                                string
	MarkGood, MarkBusy, MarkNeedsYou, MarkSoon, MarkOff, MarkedFormat string

	// How a login is, by the words of keeper's Condition.
	Works, Lasts, Ends, NoEnd, RenewsWhenUsed, Expired, NeedsLogin, Retrying, Renewing string
	PendingSave, Misconfigured, ForeignHost, Moved                                     string

	// Why only a new sign-in helps, by the reasons that keeper gives.
	WhyElsewhere, WhyLost, WhyStore, WhyAccount, WhyExpired, WhyAsked, WhyRevoked string

	// The dialogs that a worker shows.
	AskTitle, AskText, PasteTitle, PasteText, CodeText, RemoveTitle, RemoveText, RemoveButton string

	// The notices: a title and a body each.
	SignedIn, SignedInBody               string
	SignInFailed                         string
	SignInNeeded, SignInNeededBody       string
	EndsSoon, EndsSoonBody               string
	Ended, EndedBody                     string
	KeepsFailing, KeepsFailingBody       string
	NotSaved, NotSavedBody               string
	RenewsFromNow, RenewsFromNowBody     string
	Renewed, RenewedBody                 string
	AlreadyRunning, AlreadyRunningBody   string
	RunsAsRoot, RunsAsRootBody           string
	Copied, CopiedBody                   string
	RemovedTitle, RemovedTold            string
	RemovedMute, RemovedUnheard          string
	ActionFailed                         string
	ButtonSignIn, ButtonOpen, ButtonWait string
	ButtonCopy                           string

	Seconds, Minutes, Hours, Days string
}

var english = Words{
	AllGood: "All good", NeedsYou: "1 needs you", NeedYou: "%d need you", NoLogins: "Nobody is signed in",
	KeychainLocked: "The keychain is locked", KeychainAbsent: "There is no keychain", PausedNow: "Refreshing is paused", SigningIn: "Waiting for you to sign in",

	SignIn: "Sign in", AnotherAccount: "Sign in to another account…", WithCode: "Sign in with a code…", SetupToken: "Paste setup-token…", APIKey: "Paste API key…",
	PageAgain: "Open the sign-in page again", PasteURL: "Paste redirect URL…", CancelSignIn: "Cancel signing in",
	RefreshNow: "Refresh now", UseFirst: "Use first", CopyToken: "Copy access token (cleared after 30 s)", SignInAgain: "Sign in again", Remove: "Remove…",
	Notifications: "Notifications", TellEvery: "Tell me of every refresh", StartAtLogin: "Start at login", Pause: "Pause refreshing", OpenLog: "Open log", Diagnose: "Diagnose…",
	Unlock: "Unlock the keychain…", Quit: "Quit", More: "More",
	MarkGood: "✓", MarkBusy: "↻", MarkNeedsYou: "⚠", MarkSoon: "…", MarkOff: "–", MarkedFormat: "%s %s",

	Works: "works, %s left", Lasts: "%s left", Ends: "ends in %s", NoEnd: "does not expire", RenewsWhenUsed: "renews when used",
	Expired: "has expired", NeedsLogin: "sign in again", Retrying: "could not renew, next try in %s", Renewing: "renewing…",
	PendingSave: "renewed, waits for the keychain", Misconfigured: "the provider refuses this client", ForeignHost: "belongs to another machine", Moved: "moved to another machine",

	WhyElsewhere: "another program used it, so the provider ended it", WhyLost: "an answer of the provider was lost on the way",
	WhyStore: "the keychain has lost it", WhyAccount: "the provider answered for another account", WhyExpired: "it has expired",
	WhyAsked: "the provider wants to see you", WhyRevoked: "the provider revoked it",

	AskTitle: "Add a login of %s", AskText: "Paste it here. It is kept in the keychain of this machine.",
	PasteTitle: "Sign in to %s", PasteText: "Paste the address that the browser ended on, or the code that it shows:",
	CodeText:    "Visit this page in any browser, on a telephone for example, and enter the code. Do so only if you have just asked for it yourself.",
	RemoveTitle: "Remove a login", RemoveText: "Remove the login of %s from this machine? Programs that use it have to sign in again.", RemoveButton: "Remove",

	SignedIn: "Signed in to %s", SignedInBody: "As %s.",
	SignInFailed: "Signing in to %s failed",
	SignInNeeded: "%s needs you to sign in", SignInNeededBody: "The login of %s has ended: %s.",
	EndsSoon: "A login of %s ends soon", EndsSoonBody: "The one of %s ends in %s and cannot renew itself.",
	Ended: "A login of %s has ended", EndedBody: "The one of %s has expired and cannot renew itself.",
	KeepsFailing: "%s cannot be renewed right now", KeepsFailingBody: "The login of %s is tried again and again; nothing is lost.",
	NotSaved: "%s waits for the keychain", NotSavedBody: "The renewed login of %s is kept safe until the keychain takes it. Please unlock it.",
	RenewsFromNow: "%s renews by itself from now on", RenewsFromNowBody: "The login of %s was renewed in the background. You need to do nothing.",
	Renewed: "%s was renewed", RenewedBody: "The login of %s, for %s.",
	AlreadyRunning: "Keytray is running already", AlreadyRunningBody: "Look for the key in the panel.",
	RunsAsRoot: "Keytray runs as root", RunsAsRootBody: "It keeps root's logins then, not yours. Start it as yourself.",
	Copied: "Access token copied", CopiedBody: "The one of %s. It is cleared from the clipboard after 30 seconds.",
	RemovedTitle: "Signed out of %s", RemovedTold: "The provider has ended the login too.",
	RemovedMute:    "On this machine only: the provider has no way to be told. What it issued works until it expires; its account page can end it.",
	RemovedUnheard: "On this machine only: the provider could not be told. What it issued works until it expires; its account page can end it.",
	ActionFailed:   "That did not work",
	ButtonSignIn:   "Sign in", ButtonOpen: "Open", ButtonWait: "Later", ButtonCopy: "Copy",

	Seconds: "%d s", Minutes: "%d min", Hours: "%d h", Days: "%d d",
}

var japanese = Words{
	AllGood: "すべて正常です", NeedsYou: "1件の対応が必要です", NeedYou: "%d件の対応が必要です", NoLogins: "サインインしていません",
	KeychainLocked: "キーチェーンがロックされています", KeychainAbsent: "キーチェーンがありません", PausedNow: "更新を一時停止中です", SigningIn: "サインインを待っています",

	SignIn: "サインイン", AnotherAccount: "別のアカウントでサインイン…", WithCode: "コードでサインイン…", SetupToken: "setup-token を貼り付け…", APIKey: "API キーを貼り付け…",
	PageAgain: "サインインページをもう一度開く", PasteURL: "リダイレクト URL を貼り付け…", CancelSignIn: "サインインを中止",
	RefreshNow: "今すぐ更新", UseFirst: "優先して使う", CopyToken: "アクセストークンをコピー(30秒後に消去)", SignInAgain: "もう一度サインイン", Remove: "削除…",
	Notifications: "通知", TellEvery: "更新のたびに知らせる", StartAtLogin: "ログイン時に起動", Pause: "更新を一時停止", OpenLog: "ログを開く", Diagnose: "診断…",
	Unlock: "キーチェーンのロックを解除…", Quit: "終了", More: "その他",
	MarkGood: "✓", MarkBusy: "↻", MarkNeedsYou: "⚠", MarkSoon: "…", MarkOff: "–", MarkedFormat: "%s %s",

	Works: "有効、残り%s", Lasts: "残り%s", Ends: "あと%sで終了", NoEnd: "期限なし", RenewsWhenUsed: "使用時に更新",
	Expired: "期限切れ", NeedsLogin: "再サインインが必要", Retrying: "更新できません、%s後に再試行", Renewing: "更新中…",
	PendingSave: "更新済み、キーチェーンへの保存待ち", Misconfigured: "プロバイダーがこのクライアントを拒否", ForeignHost: "別のマシンのログイン", Moved: "別のマシンへ移動済み",

	WhyElsewhere: "別のプログラムが使用したため、プロバイダーが終了させました", WhyLost: "プロバイダーの応答が途中で失われました",
	WhyStore: "キーチェーンから失われました", WhyAccount: "プロバイダーが別のアカウントで応答しました", WhyExpired: "期限が切れました",
	WhyAsked: "プロバイダーが本人の操作を求めています", WhyRevoked: "プロバイダーが取り消しました",

	AskTitle: "%s のログインを追加", AskText: "ここに貼り付けてください。このマシンのキーチェーンに保管されます。",
	PasteTitle: "%s にサインイン", PasteText: "ブラウザーが最後に開いたアドレス、または表示されたコードを貼り付けてください:",
	CodeText:    "スマートフォンなど、いずれかのブラウザーでこのページを開き、コードを入力してください。ご自身で今サインインを始めた場合に限ります。",
	RemoveTitle: "ログインの削除", RemoveText: "%s のログインをこのマシンから削除しますか? 使用中のプログラムは再サインインが必要になります。", RemoveButton: "削除",

	SignedIn: "%s にサインインしました", SignedInBody: "アカウント: %s",
	SignInFailed: "%s へのサインインに失敗しました",
	SignInNeeded: "%s に再サインインしてください", SignInNeededBody: "%s のログインは終了しました: %s",
	EndsSoon: "%s のログインがまもなく終了します", EndsSoonBody: "%s のログインはあと%sで終了し、自動では更新されません。",
	Ended: "%s のログインが終了しました", EndedBody: "%s のログインは期限切れで、自動では更新されません。",
	KeepsFailing: "%s を更新できません", KeepsFailingBody: "%s のログインは自動的に再試行されます。失われたものはありません。",
	NotSaved: "%s がキーチェーンを待っています", NotSavedBody: "%s の更新されたログインは安全に保管されています。キーチェーンのロックを解除してください。",
	RenewsFromNow: "%s は今後自動的に更新されます", RenewsFromNowBody: "%s のログインをバックグラウンドで更新しました。操作は不要です。",
	Renewed: "%s を更新しました", RenewedBody: "%s のログイン、残り%s",
	AlreadyRunning: "Keytray はすでに起動しています", AlreadyRunningBody: "パネルの鍵のアイコンをご覧ください。",
	RunsAsRoot: "Keytray が root で動作しています", RunsAsRootBody: "あなたではなく root のログインを管理します。ご自身のユーザーで起動してください。",
	Copied: "アクセストークンをコピーしました", CopiedBody: "%s のトークンです。30秒後にクリップボードから消去されます。",
	RemovedTitle: "%s からサインアウトしました", RemovedTold: "プロバイダー側のログインも終了しました。",
	RemovedMute:    "このマシンのみです。プロバイダーに通知する方法がないため、発行済みのトークンは期限まで有効です。アカウントページで終了できます。",
	RemovedUnheard: "このマシンのみです。プロバイダーに通知できなかったため、発行済みのトークンは期限まで有効です。アカウントページで終了できます。",
	ActionFailed:   "操作に失敗しました",
	ButtonSignIn:   "サインイン", ButtonOpen: "開く", ButtonWait: "後で", ButtonCopy: "コピー",

	Seconds: "%d秒", Minutes: "%d分", Hours: "%d時間", Days: "%d日",
}

// In returns the words for a locale as POSIX or a browser writes it: ja,
// ja_JP.UTF-8, ja-JP. English serves where there is no other.
func In(locale string) *Words {
	language, _, _ := strings.Cut(strings.NewReplacer("-", "_", ".", "_", "@", "_").Replace(strings.ToLower(locale)), "_")
	if language == "ja" {
		return &japanese
	}
	return &english
}

// span is a length of time in one unit.
func (w *Words) span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf(w.Seconds, max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf(w.Minutes, int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf(w.Hours, int(d.Hours()))
	default:
		return fmt.Sprintf(w.Days, int(d.Hours()/24))
	}
}
