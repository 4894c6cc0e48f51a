# The app, signed: brew install --cask keytray/tap/keytray-app
cask "keytray-app" do
  version "@VERSION@"
  sha256 "@SHA256:app@"

  url "https://github.com/keytray/keytray/releases/download/v#{version}/Keytray-#{version}.zip"
  name "Keytray"
  desc "Keep the logins of AI tools signed in"
  homepage "https://github.com/keytray/keytray"

  depends_on macos: ">= :monterey"

  app "Keytray.app"
  binary "#{appdir}/Keytray.app/Contents/MacOS/keytray"
  binary "#{appdir}/Keytray.app/Contents/MacOS/keytray", target: "docker-credential-keytray"
  binary "#{appdir}/Keytray.app/Contents/MacOS/keytray", target: "git-credential-keytray"

  uninstall quit:      "io.github.keytray",
            launchctl: "io.github.keytray.tray"

  # Logins stay in the keychain: `keytray logout` removes them.
  caveats <<~EOS
    Your logins stay in the keychain when the app is removed. To remove one:
      keytray logout PROFILE
  EOS
end
