// An ssh session through a gateway: it goes on when rules are loaded again, and when the gateway is started anew
// with its state.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct ShellTests {
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/sbin/sshd")))
    func sshGoesOn() throws {
      let lab = try Laboratory(.packet)
      let state = lab.folder + "/state"
      lab.options = ["--state", state, "--set", "net.netfilter.nf_conntrack_tcp_loose=0"]
      lab.stop()
      try lab.start()
      let folder = lab.folder
      shell(
        "cd \(folder) && ssh-keygen -q -t ed25519 -N \"\" -f host && ssh-keygen -q -t ed25519 -N \"\" -f key "
          + "&& cp key.pub authorized && chmod 600 authorized && mkdir -p /run/sshd")
      lab.start(
        "s",
        "exec /usr/sbin/sshd -D -e -f /dev/null -h \(folder)/host -o AuthorizedKeysFile=\(folder)/authorized "
          + "-o StrictModes=no -o UsePAM=no -o PidFile=none -o PermitRootLogin=yes")
      #expect(lab.until { lab.server("ss -Hltn").output.contains(":22 ") })
      // One line every tenth of a second, for six seconds.
      lab.start(
        "c",
        "ssh -n -F none -i \(folder)/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
          + "203.0.113.10 \"for i in {1..60}; do echo line \\$i; sleep 0.1; done\" > \(folder)/session; "
          + "echo ended $? >> \(folder)/session")
      func session() -> String {
        (try? String(contentsOfFile: folder + "/session", encoding: .utf8)) ?? ""
      }
      #expect(
        lab.until { session().contains("line 5\n") }, "\(shell("cat \(folder)/*.log").output)")
      lab.signal(SIGHUP)
      #expect(lab.until { lab.count("the rules were loaded again") == 1 }, "\(lab.log)")
      #expect(lab.stop() == 0)
      try lab.start()
      #expect(lab.until(seconds: 20) { session().contains("ended") }, "\(session())")
      #expect(session() == (1...60).map { "line \($0)\n" }.joined() + "ended 0\n")
    }
  }
#endif
