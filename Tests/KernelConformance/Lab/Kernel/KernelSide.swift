// The kernel's side of the lockstep: one packet in, its answer out.

#if os(Linux)
  import Conntrack
  import Wire

  /// One kernel side for each kind of router that cases ask for.
  final class KernelSides {
    private static let most = 16
    let usual: KernelSide
    private var others: [[String]: KernelSide] = [:]

    init(_ router: Router) { usual = KernelSide(router) }

    func side(_ setup: [String]) throws -> KernelSide {
      if setup.isEmpty { return usual }
      if setup.contains("fresh") { return KernelSide(try Router(setup: setup)) }
      if let known = others[setup] { return known }
      if others.count >= KernelSides.most { others = [:] }
      let side = KernelSide(try Router(setup: setup))
      others[setup] = side
      return side
    }
  }

  /// What tells an entry from all others: its original tuple, and the zone it has there.
  struct ZonedTuple: Hashable {
    var tuple: Tuple
    var zone: UInt16

    init(_ tuple: Tuple, of connection: Connection) {
      self.tuple = tuple
      zone = TrackingZone(id: connection.zone, direction: connection.zoneDirection)[.original]
    }
  }

  final class KernelSide {
    let router: Router
    /// Those the last case has changed, and what they were.
    private var changedSysctls: [ConformanceCase.Sysctl] = []
    private var rulesNow = ""
    private var tablesNow: Set<Substring> = []
    private var family = AddressFamily.ipv4
    /// Entries seen since the table was last emptied.
    var met: Set<ZonedTuple> = []
    /// What `conntrack -S` said before the case.
    var statisticsBefore = ConntrackStatistics()

    init(_ router: Router) { self.router = router }

    /// Makes the router what the case wants, with an empty table.
    func prepare(_ test: ConformanceCase) throws {
      for sysctl in changedSysctls.reversed() { try router.setSysctl(sysctl.name, sysctl.value) }
      changedSysctls = []
      for sysctl in test.sysctls where !RootLimits.isOne(sysctl) {
        changedSysctls.append(
          ConformanceCase.Sysctl(name: sysctl.name, value: try router.sysctl(sysctl.name)))
        try router.setSysctl(sysctl.name, sysctl.value)
      }
      // Setting the rules anew also sets their counters to zero.
      let text = test.rulesText
      if !(text.isEmpty && rulesNow.isEmpty) {
        // Tables that are set anew need not be taken away first.
        let tables = Set(text.split(separator: "\n").filter { $0.hasPrefix("*") })
        let isCovered =
          family == test.family && tablesNow.isSubset(of: tables) && !test.hasPartialTables
        try router.setRules(text, test.family, removingOld: !isCovered)
        tablesNow = tables
        family = test.family
      }
      rulesNow = text
      // To take out those known is quick; to take out all, the kernel looks through everybody's.
      for entry in met { try router.table.delete(entry.tuple, zone: entry.zone) }
      met = []
      if try router.table.count() > 0 { try router.table.flush() }
      _ = try router.receive()
      _ = try router.log.read()
      _ = try router.events.read()
      statisticsBefore = try router.table.statistics()
    }

    /// Nil where the packet is too long to be sent.
    func send(_ packet: MadePacket, _ family: AddressFamily) throws -> Answer? {
      guard try router.send(packet, family) else { return nil }
      var answer = Answer()
      try collect(&answer, packet.port)
      return answer
    }

    /// Adds what has come meanwhile.
    ///
    /// - Parameter port: where the packet was sent whose ctstate is asked for.
    func collect(_ answer: inout Answer, _ port: Port?) throws {
      for record in try router.log.read() {
        if record.text == "INPUT" {
          answer.emissions.append(Emission(port: .host, bytes: record.packet))
        } else if let port, answer.ctState == "none", record.inInterface == router.index(port) {
          answer.ctState = record.text
        }
      }
      answer.emissions += try router.receive()
      let told = try router.events.read()
      answer.events += told.connections
      answer.expectationEvents += told.expectations
      answer.sort()
    }

    /// Waits for what is late.
    func wait(for answer: inout Answer, _ port: Port) throws {
      for _ in 0..<4 {
        router.wait(milliseconds: 5)
        try collect(&answer, port)
      }
    }
  }
#endif
