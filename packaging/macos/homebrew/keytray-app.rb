# The app, for macOS: brew install --cask keytray/tap/keytray-app
cask "keytray-app" do
  version "@VERSION@"
  sha256 "@SHA256@"

  url "https://github.com/keytray/keytray/releases/download/v#{version}/Keytray-#{version}.zip"
  name "Keytray"
  desc "Keep the logins of AI tools signed in, and hand out access tokens"
  homepage "https://github.com/keytray/keytray"

  conflicts_with formula: "keytray"
  depends_on macos: ">= :monterey"

  app "Keytray.app"
  binary "#{appdir}/Keytray.app/Contents/MacOS/keytray"
  binary "#{appdir}/Keytray.app/Contents/MacOS/keytray", target: "docker-credential-keytray"
  binary "#{appdir}/Keytray.app/Contents/MacOS/keytray", target: "git-credential-keytray"

  # An upgrade does this too, so the start at login is left to zap.
  uninstall quit: "io.github.keytray.tray"

  zap launchctl: "io.github.keytray.tray",
      trash:     "~/Library/LaunchAgents/io.github.keytray.tray.plist"

  caveats <<~EOS
    Your logins stay in the keychain when the app is removed. To end one first:
      keytray logout PROFILE
  EOS
end
