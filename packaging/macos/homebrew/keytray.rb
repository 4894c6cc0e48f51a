# The command, for macOS and Linux: brew install keytray/tap/keytray
class Keytray < Formula
  desc "Keep the logins of AI tools signed in, and hand out access tokens"
  homepage "https://github.com/keytray/keytray"
  version "@VERSION@"
  license "MIT"

  on_macos do
    on_arm do
      url "https://github.com/keytray/keytray/releases/download/v@VERSION@/keytray-@VERSION@-darwin-arm64.tar.gz"
      sha256 "@SHA256:darwin-arm64@"
    end
    on_intel do
      url "https://github.com/keytray/keytray/releases/download/v@VERSION@/keytray-@VERSION@-darwin-amd64.tar.gz"
      sha256 "@SHA256:darwin-amd64@"
    end
  end
  on_linux do
    on_arm do
      url "https://github.com/keytray/keytray/releases/download/v@VERSION@/keytray-@VERSION@-linux-arm64.tar.gz"
      sha256 "@SHA256:linux-arm64@"
    end
    on_intel do
      url "https://github.com/keytray/keytray/releases/download/v@VERSION@/keytray-@VERSION@-linux-amd64.tar.gz"
      sha256 "@SHA256:linux-amd64@"
    end
  end

  def install
    bin.install Dir["bin/*"]
    share.install Dir["share/*"]
  end

  service do
    run [opt_bin/"keytray", "watch"]
    keep_alive true
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/keytray version")
  end
end
