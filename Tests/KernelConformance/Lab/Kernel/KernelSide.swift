// The kernel's side of the lockstep: one packet in, its answer out.

#if os(Linux)
  import Conntrack
  import Wire

  final class KernelSide {
    let router: Router
    private var changedSysctls: [String] = []
    private var rulesNow = ""
    private var tablesNow: Set<Substring> = []
    private var family = AddressFamily.ipv4
    /// Entries seen since the table was last emptied.
    var met: Set<Tuple> = []

    init(_ router: Router) { self.router = router }

    /// Makes the router what the case wants, with an empty table.
    func prepare(_ test: ConformanceCase) throws {
      let usual = ConntrackSettings()
      for name in changedSysctls {
        guard let entry = ConntrackSettings.entries.first(where: { $0.name == name }) else {
          continue
        }
        let value = usual[keyPath: entry.path]
        try router.setSysctl(
          name, String(entry.unit == .seconds ? value / 1_000_000_000 : value))
      }
      changedSysctls = test.sysctls.map(\.name)
      for sysctl in test.sysctls { try router.setSysctl(sysctl.name, sysctl.value) }
      // Setting the rules anew also sets their counters to zero.
      let text = test.rulesText
      if !(text.isEmpty && rulesNow.isEmpty) {
        // Tables that are set anew need not be taken away first.
        let tables = Set(text.split(separator: "\n").filter { $0.hasPrefix("*") })
        let isCovered = family == test.family && tablesNow.isSubset(of: tables)
        try router.setRules(text, test.family, removingOld: !isCovered)
        tablesNow = tables
        family = test.family
      }
      rulesNow = text
      // To take out those known is quick; to take out all, the kernel looks through everybody's.
      for tuple in met { try router.table.delete(tuple) }
      met = []
      if try router.table.count() > 0 { try router.table.flush() }
      _ = try router.receive()
      _ = try router.log.read()
      _ = try router.events.read()
    }

    func send(_ packet: [UInt8], _ port: Port) throws -> Answer {
      try router.send(packet, port)
      var answer = Answer()
      try collect(&answer, port)
      return answer
    }

    /// Adds what has come meanwhile.
    func collect(_ answer: inout Answer, _ port: Port) throws {
      for record in try router.log.read() {
        if record.text == "INPUT" {
          answer.emissions.append(Emission(port: .host, bytes: record.packet))
        } else if answer.ctState == "none", record.inInterface == router.index(port) {
          answer.ctState = record.text
        }
      }
      answer.emissions += try router.receive()
      answer.events += try router.events.read()
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
