// The control socket: commands on a running worker's table, from another thread as from another process;
// whose it is, what it does with garbage, with clients that are slow, and with a table that changes while
// it is listed.

#if os(Linux)
  import Conntrack
  import ConntrackFormat
  import Firewall
  import Foundation
  import Ruleset
  import TableControl
  import Testing
  import Wire

  @testable import Gateway

  @Suite(.serialized)
  struct ControlSocketTests {
    /// A gateway without ports, and where it listens.
    final class Bench: Sendable {
      let path: String
      let worker: Worker
      let server: ControlServer

      init(
        capacity: Int = 4096, ruleset: Ruleset = Ruleset(),
        _ change: (inout ConntrackSettings) -> Void = { _ in }
      ) throws {
        path = NSTemporaryDirectory() + "weir-control-\(UUID().uuidString.prefix(8)).sock"
        var settings = ConntrackSettings()
        settings.max = Int64(capacity)
        change(&settings)
        var firewall = try Firewall(ruleset: ruleset, settings: settings, seed: 1)
        firewall.tracker.expiry = .swept
        firewall.advance(to: Bench.now)
        worker = try Worker(firewall, ports: GatewayPorts())
        server = try ControlServer(ControlSocket(path), workers: [worker]) {
          "the old rules stay in force: r:1: no"
        }
      }

      static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1e9) }

      /// Carries a command line out; what it printed, said and ended with.
      func run(_ line: String) throws -> (output: [String], errors: [String], status: Int32) {
        let words = line.split(separator: " ").map(String.init)
        var program = ConntrackProgram(backend: try GatewayTable(path), console: Paper())
        let status = try program.run(ConntrackCommandLine(words, labelNames: nil))
        let text = String(decoding: program.console.bytes, as: UTF8.self)
        return (
          text.split(separator: "\n").map(String.init), program.console.errors, status
        )
      }

      func close() async {
        server.stop()
        await worker.stop()
      }
    }

    struct Paper: ConntrackConsole {
      var bytes: [UInt8] = []
      var errors: [String] = []
      let secondsAheadOfUTC: Int64 = 0
      mutating func write(_ append: (inout [UInt8]) -> Void) { append(&bytes) }
      mutating func flush() {}
      mutating func say(_ line: String) {
        errors.append(line.replacing("conntrack v1.4.7 (conntrack-tools): ", with: ""))
      }
    }

    /// On a thread of its own: who waits for events must not keep the thread that brings them.
    private static func onThread<Result: Sendable>(
      _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
      try await withCheckedThrowingContinuation { waiter in
        Thread.detachNewThread { waiter.resume(with: Swift.Result { try body() }) }
      }
    }

    private let udp = "-s 10.0.0.1 -d 10.0.0.2 -p udp --dport 53"

    @Test func commandsActOnTheRunningTable() async throws {
      let bench = try Bench()
      #expect(
        try bench.run("-I \(udp) --sport 1000 -t 100 -m 7").errors
          == ["1 flow entries have been created."])
      let again = try bench.run("-I \(udp) --sport 1000 -t 100")
      #expect(again.status == 1)
      #expect(again.errors == ["Operation failed: Such conntrack exists, try -U to update"])
      #expect(try bench.run("-C").output == ["1"])
      let listed = try bench.run("-L -p udp -m 7")
      #expect(listed.output.count == 1)
      #expect(listed.output[0].contains("sport=1000 dport=53 [UNREPLIED] src=10.0.0.2"))
      #expect(listed.output[0].hasSuffix("mark=7 use=1"))
      #expect(try bench.run("-U -s 10.0.0.1 -m 9 -u ASSURED").status == 0)
      #expect(try bench.run("-G \(udp) --sport 1000").output[0].hasSuffix("[ASSURED] mark=9 use=2"))
      #expect(
        try bench.run("-U -s 10.0.0.1 -u EXPECTED").errors[0].hasPrefix("Operation failed: Dev"))
      #expect(try bench.run("-S").output[0].contains("insert=1 "))
      #expect(try bench.run("-D -s 10.0.0.1").status == 0)
      #expect(try bench.run("-D -s 10.0.0.1").status == 1)
      #expect(try bench.run("-F").errors == ["connection tracking table has been emptied."])
      await bench.close()
      #expect(!FileManager.default.fileExists(atPath: bench.path + ".none"))
    }

    @Test func translationsAreBound() async throws {
      let bench = try Bench()
      #expect(try bench.run("-I \(udp) --sport 1 -t 9 -n 192.0.2.1:500").status == 0)
      // The port is taken.
      #expect(try bench.run("-I \(udp) --sport 2 -t 9 -n 192.0.2.1:500").status == 1)
      #expect(try bench.run("-I \(udp) --sport 3 -t 9 -g 192.0.2.9:5353").status == 0)
      #expect(try bench.run("-L -n").output.count == 1)
      let listed = try bench.run("-L -g").output
      #expect(listed.count == 1 && listed[0].contains("src=192.0.2.9 dst=10.0.0.1 sport=5353"))
      #expect(try bench.run("-C").output == ["2"])
      await bench.close()
    }

    @Test func followersHearWhoAsked() async throws {
      let bench = try Bench()
      let (kinds, requesters) = try await Self.onThread {
        let table = try GatewayTable(bench.path)
        var kinds: [ConnectionEventKind] = []
        var requesters: Set<UInt32> = []
        try table.follow(FollowRequest(kinds: [.new, .update, .destroy])) { event in
          if case .began = event { _ = try bench.run("-I \(udp) --sport 1 -t 9") }
          if case .connection(let event) = event {
            kinds.append(event.kind)
            requesters.insert(event.requester?.portID ?? 0)
            if event.kind == .new { _ = try bench.run("-U -s 10.0.0.1 -t 50") }
            if event.kind == .update { _ = try bench.run("-F") }
          }
          return kinds.count < 3
        }
        return (kinds, requesters)
      }
      #expect(kinds == [.new, .update, .destroy])
      #expect(requesters == [UInt32(ProcessInfo.processInfo.processIdentifier)])
      await bench.close()
    }

    @Test func whoIsSlowLosesAndIsTold() async throws {
      let bench = try Bench(capacity: 200_000)
      let told = try await Self.onThread {
        let table = try GatewayTable(bench.path)
        var told: (events: Int, lost: UInt64) = (0, 0)
        try table.follow(FollowRequest(kinds: [.new], bufferBytes: 4096)) { event in
          switch event {
          case .began:
            // Nobody reads meanwhile: what the socket itself holds is the kernel's affair.
            for base in 0..<20 {
              _ = try bench.worker.ask { firewall in
                for number in 0..<5000 {
                  let source = UInt32(base * 5000 + number)
                  ControlSocketTests.insert(source, into: &firewall)
                }
              }
              usleep(20_000)
            }
          case .connection: told.events += 1
          case .lost(let count): told.lost += count ?? 0
          case .expectation: break
          }
          return told.lost == 0
        }
        return told
      }
      #expect(told.events > 0 && told.lost > 0)
      #expect(told.events < 100_000)
      #expect(try bench.run("-C").output == ["100000"])
      await bench.close()
    }

    private static func insert(_ source: UInt32, into firewall: inout Firewall) {
      let tuple = Tuple(
        source: IPAddress(ipv4: 0x0a00_0000 + source), destination: IPAddress(ipv4: 0xc000_0201),
        sourcePort: 1000, destinationPort: 53, protocolNumber: 17, family: .ipv4)
      var change = ConnectionChange()
      change.timeoutNanoseconds = 600_000_000_000
      guard let reply = tuple.inverted,
        case .success(let connection) = firewall.tracker.begin(
          tuple, reply: reply, zone: TrackingZone(), change)
      else { return }
      _ = firewall.tracker.settle(connection, by: nil)
    }

    /// What lives during the whole of a listing is in it once, whatever comes and goes meanwhile.
    @Test func aListingIsWhole() async throws {
      let bench = try Bench(capacity: 60_000)
      for base in 0..<10 {
        _ = try bench.worker.ask { firewall in
          for number in 0..<4000 {
            ControlSocketTests.insert(UInt32(base * 4000 + number), into: &firewall)
          }
        }
      }
      // Every second one stays; the others go, and new ones come, while it is listed.
      let churn = Task.detached {
        for number in UInt32(0)..<20_000 where number.isMultiple(of: 2) {
          try bench.worker.ask { firewall in
            let old = Tuple(
              source: IPAddress(ipv4: 0x0a00_0001 + number),
              destination: IPAddress(ipv4: 0xc000_0201), sourcePort: 1000, destinationPort: 53,
              protocolNumber: 17, family: .ipv4)
            if let found = firewall.tracker.find(old, zone: TrackingZone()) {
              firewall.tracker.remove(found.connection, by: nil)
            }
            ControlSocketTests.insert(1_000_000 + number, into: &firewall)
          }
        }
      }
      let table = try GatewayTable(bench.path)
      for _ in 0..<3 {
        var seen: [UInt32: Int] = [:]
        try table.list(ListRequest()) { connection in
          seen[connection.original.source.ipv4 - 0x0a00_0000, default: 0] += 1
        }
        for source in stride(from: UInt32(0), to: 40_000, by: 2) where seen[source] != 1 {
          Issue.record("\(source) is there \(seen[source, default: 0]) times")
        }
        #expect(seen.values.allSatisfy { $0 == 1 })
      }
      try await churn.value
      await bench.close()
    }

    // MARK: Whose it is

    @Test func itIsItsOwnersAndOneGateways() async throws {
      let bench = try Bench()
      let attributes = try FileManager.default.attributesOfItem(atPath: bench.path)
      #expect((attributes[.posixPermissions] as? Int) == 0o600)
      let path = bench.path
      #expect(throws: ControlSocketError.isTaken(path)) { try ControlSocket(path) }
      #expect(try bench.run("-C").output == ["0"])
      await bench.close()
    }

    @Test func whatAKilledGatewayLeftIsNoObstacle() throws {
      let path = NSTemporaryDirectory() + "weir-stale-\(UUID().uuidString.prefix(8)).sock"
      let stale = UnixStream.make()
      let bound = try unsafe UnixStream.withAddress(path) { address, length in
        unsafe bind(stale, address, length)
      }
      #expect(bound == 0)
      _ = Glibc.close(stale)
      _ = try ControlSocket(path)
      try Data("x".utf8).write(to: URL(filePath: path))
      #expect(throws: ControlSocketError.isSomethingElse(path)) { try ControlSocket(path) }
      try FileManager.default.removeItem(atPath: path)
      try? FileManager.default.removeItem(atPath: path + ".lock")
    }

    @Test func nobodyListens() {
      let error = #expect(throws: TableError.self) { try GatewayTable("/tmp/weir-no-such.sock") }
      #expect(error?.text == "no gateway listens on the control socket /tmp/weir-no-such.sock")
      let long = "/tmp/" + String(repeating: "x", count: 200)
      #expect(throws: TableError.self) { try GatewayTable(long) }
    }

    // MARK: Garbage

    @Test func garbageIsAnsweredAndTheConnectionClosed() async throws {
      let bench = try Bench()
      var generator = SeededGenerator(seed: 9)
      for round in 0..<300 {
        let stream = try connect(bench.path)
        var bytes = round.isMultiple(of: 2) ? ControlSocketTests.hello : []
        for _ in 0..<Int(generator.next() % 400) { bytes.append(UInt8(generator.next() & 0xff)) }
        // The length of a short frame, so that its body is looked at too.
        if round.isMultiple(of: 4), bytes.count > 20 {
          bytes.replaceSubrange(11..<15, with: [UInt8(generator.next() % 80), 0, 0, 0])
          bytes[15] = UInt8(1 + generator.next() % 18)
        }
        _ = stream.send(bytes)
        _ = shutdown(stream.descriptor, Int32(SHUT_WR))
        while let answer = stream.receive(), !answer.isEmpty {}
      }
      let stream = try connect(bench.path)
      _ = stream.send([0xff, 0xff, 0xff, 0x7f, 1])
      var reader = ControlFrameReader(longest: 1000)
      while let answer = stream.receive(), !answer.isEmpty { reader.append(answer) }
      let frame = try #require(try reader.next())
      #expect(try frame.refusal().text == "a frame of 2147483647 bytes")
      // Others are served as before.
      #expect(try bench.run("-C").status == 0)
      await bench.close()
    }

    @Test func anotherVersionIsRefused() async throws {
      let bench = try Bench()
      let stream = try connect(bench.path)
      _ = stream.send(ControlFrame(.hello, Array("WEIR".utf8) + [9, 0]))
      var reader = ControlFrameReader(longest: 1000)
      while let answer = stream.receive(), !answer.isEmpty {
        reader.append(answer)
        if let frame = try reader.next() {
          #expect(try frame.refusal().text.contains("speaks version \(ControlFrame.version)"))
          break
        }
      }
      await bench.close()
    }

    @Test func reloadingSaysWhyNot() async throws {
      let bench = try Bench()
      let error = #expect(throws: TableError.self) { try GatewayTable(bench.path).reload() }
      #expect(error?.text == "the old rules stay in force: r:1: no")
      await bench.close()
    }

    @Test func aStoppedWorkerIsSaidToBeOne() async throws {
      let bench = try Bench()
      let table = try GatewayTable(bench.path)
      await bench.worker.stop()
      let error = #expect(throws: TableError.self) { try table.count() }
      #expect(error?.text == "the gateway has stopped")
      bench.server.stop()
    }

    private static let hello =
      ControlFrame(.hello) { writer in
        for byte in ControlFrame.greeting { writer.put(byte) }
        writer.put(ControlFrame.version)
      }.bytes

    private func connect(_ path: String) throws -> UnixStream {
      let stream = UnixStream(UnixStream.make())
      let result = try unsafe UnixStream.withAddress(path) { address, length in
        unsafe Glibc.connect(stream.descriptor, address, length)
      }
      try #require(result == 0)
      return stream
    }
  }
#endif
