# The command, for macOS and Linux: brew install keytray/tap/keytray
class Keytray < Formula
  desc "Keep the logins of AI tools signed in, and hand out access tokens"
  homepage "https://github.com/keytray/keytray"
  url "https://github.com/keytray/keytray/archive/refs/tags/v@VERSION@.tar.gz"
  sha256 "@SHA256:source@"
  license "MIT"

  depends_on "go" => :build

  def install
    ldflags = "-s -w -X main.version=#{version}"
    system "go", "build", *std_go_args(ldflags: ldflags), "./cmd/keytray"
    system "go", "build", *std_go_args(ldflags: ldflags, output: bin/"keytray-tray"), "./cmd/tray"
    bin.install_symlink "keytray" => "docker-credential-keytray"
    bin.install_symlink "keytray" => "git-credential-keytray"
    generate_completions_from_executable(bin/"keytray", "completion")
  end

  service do
    run [opt_bin/"keytray", "watch"]
    keep_alive true
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/keytray version")
    assert_match "no logins", shell_output("#{bin}/keytray status --state-dir #{testpath} 2>&1")
  end
end
