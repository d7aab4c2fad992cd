// What many connections and too little room do to a gateway: a load generator, a full table, a full disk; and
// that measuring programs see through it what they see through the kernel.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct LoadTests {
    /// Connections of the load generator. `WEIR_CONNECTIONS=100000` asks for more.
    private static let connections =
      ProcessInfo.processInfo.environment["WEIR_CONNECTIONS"].flatMap { Int($0) } ?? 4000

    private static let servers = """
      import selectors, socket
      choice = selectors.DefaultSelector()
      for port in range(7001, 7005):
          server = socket.create_server(("", port), backlog=4096)
          server.setblocking(False)
          choice.register(server, selectors.EVENT_READ)
      while True:
          for key, _ in choice.select():
              try:
                  connection, _ = key.fileobj.accept()
              except BlockingIOError:
                  continue
              connection.send(b"x")
              connection.close()

      """

    /// Opens connections from four addresses to four ports, 64 at a time, and reads what each answers to its end.
    private static let clients = """
      import socket, sys, threading
      wanted = int(sys.argv[1])
      failed = []
      def run(first):
          for number in range(first, wanted, 64):
              try:
                  source = "192.168.1.%d" % (101 + number % 4)
                  to = ("203.0.113.10", 7001 + number // 4 % 4)
                  with socket.create_connection(to, 20, (source, 0)) as connection:
                      if connection.recv(9) != b"x" or connection.recv(9) != b"":
                          failed.append("cut short")
              except OSError as error:
                  failed.append(str(error))
      threads = [threading.Thread(target=run, args=(first,)) for first in range(64)]
      for thread in threads: thread.start()
      for thread in threads: thread.join()
      print("failed", len(failed), failed[:3])

      """

    @Test func connectionsOpenedAndClosed() throws {
      let lab = try Laboratory(.packet)
      try lab.write("servers.py", LoadTests.servers)
      try lab.write("clients.py", LoadTests.clients)
      lab.client("for i in 101 102 103 104; do ip addr add 192.168.1.$i/24 dev eth0; done")
      lab.start("s", "exec python3 \(lab.folder)/servers.py")
      #expect(lab.until { lab.server("ss -Hltn").output.contains(":7004 ") })
      let began = Date()
      let result = lab.client(
        "exec python3 \(lab.folder)/clients.py \(LoadTests.connections)", timeout: 600)
      #expect(result.output == "failed 0 []\n", "\(result.output) \(lab.log)")
      print(
        "\(LoadTests.connections) connections in \(Date().timeIntervalSince(began)) seconds")
      // They are in the table, on their way out, but for those whose port was used again.
      let control = "--control \(lab.folder)/control.sock"
      let count = lab.router("\(lab.weir) conntrack \(control) -C").output
      #expect(
        Int(count.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
          >= LoadTests.connections * 8 / 10)
      let states = lab.router(
        "\(lab.weir) conntrack \(control) -L -p tcp 2>/dev/null | awk \"{print \\$4}\" | sort | uniq -c"
      ).output
      #expect(states.contains("TIME_WAIT") && !states.contains("ESTABLISHED"), "\(states)")
      #expect(lab.stop() == 0, "\(lab.log)")
    }

    /// A full table drops what is new, and counts it; what is assured goes on.
    @Test func tableFull() throws {
      let lab = try Laboratory(.packet)
      lab.options = ["--set", "net.netfilter.nf_conntrack_max=64"]
      lab.stop()
      try lab.start()
      try lab.serveWeb("s", megabytes: 1)
      shell("head -c 4M /dev/zero > \(lab.folder)/www-s/slow")
      lab.start(
        "c",
        "curl -sS --limit-rate 1M http://203.0.113.10/slow | wc -c > \(lab.folder)/got")
      #expect(lab.until { lab.server("ss -Htn state established").output.contains(":80") })
      lab.client("for i in {1..300}; do echo x > /dev/udp/203.0.113.10/$((9000+i)); done")
      let control = "--control \(lab.folder)/control.sock"
      let count = lab.router("\(lab.weir) conntrack \(control) -C").output
      #expect(Int(count.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 99 <= 64)
      let statistics = lab.router("\(lab.weir) conntrack \(control) -S").output
      #expect(
        !statistics.contains(" early_drop=0 ") || !statistics.contains(" drop=0 "),
        "\(statistics)")
      let doctor = lab.router("\(lab.weir) doctor \(control)").output
      #expect(doctor.contains("The table is nearly full"), "\(doctor)")
      #expect(
        lab.until(seconds: 15) {
          shell("cat \(lab.folder)/got").output.trimmingCharacters(in: .whitespacesAndNewlines)
            == "\(4 << 20)"
        }, "\(lab.log)")
    }

    /// Where the state finds no room, that is said, and packets go on.
    @Test func diskFull() throws {
      let lab = try Laboratory(.packet)
      lab.stop()
      let disk = lab.folder + "/disk"
      shell("mkdir \(disk) && mount -t tmpfs -o size=16k none \(disk)")
      defer { shell("umount \(disk)") }
      lab.options = ["--state", disk + "/state"]
      try lab.start()
      try lab.serveWeb("s", megabytes: 1)
      #expect(lab.until { FileManager.default.fileExists(atPath: disk + "/state") })
      lab.client("for i in {1..600}; do echo x > /dev/udp/203.0.113.10/$((9000+i)); done")
      #expect(lab.until { lab.log.contains("the state was not written") }, "\(lab.log)")
      #expect(lab.client("curl -sS -m 2 http://203.0.113.10/").output == "hello, world")
      #expect(lab.stop() == 0)
      // The last file there was room for is whole.
      try lab.start()
      #expect(lab.log.contains("connections are known again"), "\(lab.log)")
      #expect(!lab.log.contains("is damaged"), "\(lab.log)")
      #expect(lab.client("curl -sS -m 2 http://203.0.113.10/").output == "hello, world")
    }

    @Test func measuringProgramsSeeTheSame() throws {
      func transcript(_ kind: RouterKind) throws -> [String] {
        let lab = try Laboratory(kind)
        lab.start("s", "exec iperf3 -s")
        #expect(lab.until { lab.server("ss -Hltn").output.contains(":5201 ") })
        let columns = "awk \"{print \\$1, \\$2, \\$3}\""
        let lost = "grep -o \"([0-9.e+-]*%)\" | tail -1"
        return [
          lab.client("mtr -n -r -c 2 -i 0.2 203.0.113.10 | tail -n +3 | \(columns)").output,
          lab.client("mtr -6 -n -r -c 2 -i 0.2 2001:db8:9::10 | tail -n +3 | \(columns)").output,
          "\(lab.client("iperf3 -c 203.0.113.10 -t 1").status)",
          "\(lab.client("iperf3 -c 203.0.113.10 -t 1 -R").status)",
          "\(lab.client("iperf3 -c 2001:db8:9::10 -t 1").status)",
          lab.client("iperf3 -c 203.0.113.10 -u -b 2M -t 1 | \(lost)").output,
        ]
      }
      let kernel = try transcript(.kernel)
      #expect(kernel[0].contains("192.168.1.1") && kernel[2] == "0" && kernel[5] == "(0%)\n")
      for kind in [RouterKind.packet, .tun] {
        for (kernel, weir) in zip(kernel, try transcript(kind)) { #expect(weir == kernel) }
      }
    }
  }
#endif
