// A report in words, and as one JSON object.

import Wire

extension BenchReport {
  /// For people: what was measured, beside what memory alone costs.
  public var text: String {
    let unit = options.work == .expire ? "an entry" : "a packet"
    var lines = [title, "  engine  \(figure(engine)) \(unit)"]
    if options.work != .expire {
      lines[1] += ", \(rounded(packetsPerSecond / 1e6, 1)) M packets/s"
      if options.workers > 1 { lines[1] += " of \(options.workers) workers together" }
    }
    if !floor.isEmpty {
      lines.append(
        "  floor   \(figure(floor)) a record's lines; ratio "
          + rounded(engine.median / floor.median, 2))
    }
    if let longestWait {
      lines.append("  longest wait of a burst for expiry: \(rounded(longestWait / 1000, 1)) µs")
    }
    if Counted.isPossible && counted.packets > 0 {
      lines.append("  counted \(rounded(allocationsEach, 3)) allocations a packet")
    }
    lines.append("  memory  \(rounded(bytesPerConnection, 0)) bytes a connection")
    return lines.joined(separator: "\n")
  }

  private var title: String {
    let what =
      switch options.work {
      case .established: "packets of established connections"
      case .create: "first packets of new connections"
      case .expire: "the end of connections"
      }
    let level = options.level == .track ? "tracking alone" : "the whole firewall"
    let family = options.family == .ipv4 ? "IPv4" : "IPv6"
    var title =
      "\(what), \(options.transport.rawValue.uppercased())/\(family), \(level): "
      + "\(options.connections) connections, bursts of \(options.burst)"
    if options.level == .firewall {
      title += options.rulesText == nil ? ", \(options.rules) rules" : ", rules of a file"
      title += options.nat == .none ? ", no NAT" : ", \(options.nat.rawValue.uppercased())"
    }
    return title
  }

  private func figure(_ rounds: Rounds) -> String {
    "\(rounded(rounds.median, 1)) ns (\(rounded(rounds.least, 1)) to \(rounded(rounds.most, 1)))"
  }

  private var allocationsEach: Double {
    Double(counted.allocations) / Double(counted.packets)
  }

  /// One object; times in nanoseconds.
  public var json: String {
    var members = [
      "\"work\":\"\(options.work.rawValue)\"", "\"level\":\"\(options.level.rawValue)\"",
      "\"protocol\":\"\(options.transport.rawValue)\"",
      "\"family\":\(options.family == .ipv4 ? 4 : 6)", "\"nat\":\"\(options.nat.rawValue)\"",
      "\"connections\":\(options.connections)", "\"burst\":\(options.burst)",
      "\"rules\":\(options.rulesText == nil ? "\(options.rules)" : "null")",
      "\"workers\":\(options.workers)", "\"seed\":\(options.seed)",
      "\"nanoseconds\":\(object(engine))", "\"packetsPerSecond\":\(rounded(packetsPerSecond, 0))",
      "\"bytesPerConnection\":\(rounded(bytesPerConnection, 1))",
    ]
    if !floor.isEmpty {
      members.append("\"floorNanoseconds\":\(object(floor))")
      members.append("\"ratio\":\(rounded(engine.median / floor.median, 3))")
    }
    if Counted.isPossible && counted.packets > 0 {
      members.append("\"allocations\":\(rounded(allocationsEach, 4))")
    }
    if let longestWait {
      members.append("\"longestWaitNanoseconds\":\(rounded(longestWait, 0))")
    }
    return "{" + members.joined(separator: ",") + "}"
  }

  private func object(_ rounds: Rounds) -> String {
    "{\"median\":\(rounded(rounds.median, 2)),\"least\":\(rounded(rounds.least, 2)),"
      + "\"most\":\(rounded(rounds.most, 2))}"
  }

  /// A number with so many digits behind the point.
  private func rounded(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int64((value * scale).rounded())
    if digits == 0 { return "\(whole)" }
    let fraction = String(whole % Int64(scale))
    return "\(whole / Int64(scale))."
      + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}
