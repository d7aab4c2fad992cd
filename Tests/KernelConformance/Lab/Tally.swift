// What a run has met: printed at its end, so that a reader sees what "no difference" is worth.

import Conntrack
import Wire

extension ProtocolState {
  /// Nil for protocols that have none.
  fileprivate var name: String? {
    switch self {
    case .none: nil
    case .tcp(let state): state.name
    case .sctp(let state): state.name
    case .dccp(let state): state.name
    }
  }
}

struct Tally {
  var protocols: [String: Int] = [:]
  var states: [String: Int] = [:]
  var flags: [String: Int] = [:]
  /// `SYN_SENT → SYN_RECV`, from the table before and after a packet.
  var transitions: [String: Int] = [:]
  var nat: [String: Int] = [:]
  var targets: [String: Int] = [:]
  var events: [String: Int] = [:]
  var emitted = 0

  #if os(Linux)
    mutating func add(_ test: ConformanceCase, _ run: Run) {
      let family = test.family == .ipv4 ? "ipv4" : "ipv6"
      var before: [Tuple: String] = [:]
      var seen: Set<Tuple> = []
      for exchange in run.exchanges {
        let kind =
          switch test.steps[exchange.step].kind {
          case .tcp(let tcp):
            count(tcp)
          case .udp: "udp"
          case .echo: "echo"
          case .error: "icmp error"
          case .lite: "udp-lite"
          case .sctp: "sctp"
          case .message(let message): "icmp \(message.type)"
          case .raw(let raw): "protocol \(raw.number)"
          case .wait: ""
          case .change: "change of the router"
          }
        protocols["\(family) \(kind)", default: 0] += 1
        states[exchange.kernel.ctState, default: 0] += 1
        emitted += exchange.kernel.emissions.count
        for event in exchange.kernel.events { events["\(event.kind)", default: 0] += 1 }
        for connection in exchange.table {
          if let state = connection.protocolState.name {
            let old = before[connection.original]
            if old != state {
              let isTCP = connection.original.protocolNumber == IPProtocolNumber.tcp
              transitions["\(isTCP ? "" : "SCTP ")\(old ?? "-") → \(state)", default: 0] += 1
              before[connection.original] = state
            }
          }
          if seen.insert(connection.original).inserted {
            for (bit, name) in [
              (ConnectionStatus.sourceNAT, "source"), (.destinationNAT, "destination"),
            ] where connection.status.contains(bit) {
              let isPort = connection.reply.destinationPort != connection.original.sourcePort
              nat["\(family) \(name)\(isPort ? " with another port" : "")", default: 0] += 1
            }
            count(translated: connection, exchange)
          }
        }
      }
      for rule in test.rules {
        let words = rule.split(separator: " ")
        guard let jump = words.firstIndex(of: "-j"), jump + 1 < words.count else { continue }
        // Addresses and ports left out, but not what kind of range they are.
        let target = words[(jump + 1)...].compactMap { word -> Substring? in
          if !word.contains(where: { $0.isNumber }) || word.hasPrefix("icmp") { return word }
          if !word.contains("-") || word.hasPrefix("-") { return nil }
          return word.contains("/") ? "SHIFTED" : "RANGE"
        }
        targets[target.joined(separator: " "), default: 0] += 1
      }
    }
  #endif

  #if os(Linux)
    /// What is rare about a new translated connection.
    private mutating func count(translated connection: Connection, _ exchange: Exchange) {
      guard !connection.status.isDisjoint(with: [.sourceNAT, .destinationNAT]) else { return }
      let (original, reply) = (connection.original, connection.reply)
      if connection.status.contains(.sourceNAT), original.sourcePort != reply.destinationPort,
        !Renaming.isICMP(original)
      {
        let source = original.sourcePort
        let name = source < 512 ? "below 512" : source < 1024 ? "512 to 1023" : "from 1024"
        nat["another port for one \(name)", default: 0] += 1
      }
      if exchange.kernel.emissions.contains(where: { $0.port == exchange.sent.port && !$0.isAnswer }
      ) {
        nat["out by the port it came by (hairpin)", default: 0] += 1
      }
      let ended = exchange.kernel.events.contains {
        $0.kind == .destroy && $0.connection.reply == reply
      }
      if ended { nat["in another's place", default: 0] += 1 }
    }
  #endif

  private mutating func count(_ tcp: TCPStep) -> String {
    flags[tcp.flags.letters, default: 0] += 1
    return "tcp"
  }

  var text: String {
    func list(_ name: String, _ counts: [String: Int]) -> String {
      let sorted = counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
      return "\(name): " + sorted.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
    return [
      list("packets sent", protocols), "packets that came out: \(emitted)",
      list("ctstate", states), list("events", events),
      list("TCP flag combinations (\(flags.count))", flags),
      list("state transitions (\(transitions.count))", transitions),
      list("translated connections", nat), list("rules set, by target", targets),
    ].joined(separator: "\n")
  }
}
