// Weir's side of the lockstep: the same machine, settings, rules and packets, in this process.

import Conntrack
import Firewall
import Ruleset
import Wire

/// Keeps what leaves.
private struct Leaving: PacketSink {
  var packets: [(interface: InterfaceID, emission: Emission)] = []
  var delivered: [Emission] = []

  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    packets.append(
      (interface, Emission(port: .host, bytes: bytes.array, isAnswer: isAnswer)))
  }

  mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {
    delivered.append(Emission(port: .host, bytes: bytes.array, isAnswer: isAnswer))
  }
}

/// One firewall, for one run of one case.
struct EngineSide: ~Copyable {
  private var firewall: Firewall
  private var packet = PacketBuffer()
  private var burst = PacketBurst()
  private let loopback: InterfaceID
  private let lan: InterfaceID
  private let wan: InterfaceID
  /// What rules choose addresses from.
  private let ranges: [NATChoice]

  /// - Parameter rules: what `iptables-save` says of the router.
  init(
    _ test: ConformanceCase, rules: String, host: HostConfiguration, seed: UInt64
  ) throws {
    var ruleset = Ruleset()
    try ruleset.apply(rules, file: "rules", family: test.family)
    var settings = ConntrackSettings()
    // A case has a handful of connections; room for more would only take time to make.
    settings.max = 1024
    settings.buckets = 1024
    for sysctl in test.sysctls where sysctl.name.hasPrefix("net.netfilter.") {
      try settings.set(sysctl.name, to: sysctl.value)
    }
    var firewall = try Firewall(ruleset: ruleset, host: host, settings: settings, seed: seed)
    firewall.tracker.recordsEvents = true
    loopback = firewall.interface(named: Port.lo.interface)
    lan = firewall.interface(named: Port.lan.interface)
    wan = firewall.interface(named: Port.wan.interface)
    self.firewall = firewall
    ranges = test.rules.compactMap { NATChoice(rule: $0, test.family) }.filter {
      $0.addresses.map { $0.lowerBound != $0.upperBound } ?? false
    }
  }

  /// A packet that came in by a port; at `.host`, one that the router itself sends.
  mutating func take(_ made: MadePacket, _ family: AddressFamily, at time: Int64) -> Answer {
    _ = packet.assign(made.bytes.rawSpan)
    let interface: InterfaceID = made.port == .lan ? lan : made.port == .wan ? wan : .none
    var arrival = Arrival(interface: interface, family: family, timeNanoseconds: time)
    var answer = Answer()
    firewall.advance(to: time)
    answer.expired = firewall.tracker.takeEvents()
    var leaving = Leaving()
    var silent = SilentObserver()
    let outcome: PacketOutcome
    if made.port == .host {
      // The raw socket is this process's, and that is root's.
      arrival.socketUserID = 0
      arrival.socketGroupID = 0
      outcome = firewall.send(&packet, arrival, to: &leaving, observer: &silent)
    } else {
      arrival.sourceMAC = made.port.farMAC
      switch made.frame {
      case .unicast: break
      case .broadcast: arrival.packetType = .broadcast
      case .multicast: arrival.packetType = .multicast
      // What is for another machine no host lets near its hooks: whoever captures sorts it out.
      case .other: return answer
      }
      // As a burst, where it fits one, so that its shortcuts are asked too.
      burst.removeAll()
      if burst.append(made.bytes.rawSpan, arrival) {
        firewall.receive(&burst, to: &leaving, observer: &silent)
        outcome = burst.outcome(0)
        _ = packet.assign(firewall.takeRest(of: burst).rawSpan)
      } else {
        outcome = firewall.receive(&packet, arrival, to: &leaving, observer: &silent)
      }
    }
    firewall.tracker.foreseenVictims = nil
    answer.events = firewall.tracker.takeEvents()
    answer.expectationEvents = firewall.tracker.takeExpectationEvents()
    // What finds no room goes before any rule sees it.
    if let state = outcome.ctState, outcome.reason != .tableFull {
      answer.ctState = state.name
      if let direction = outcome.direction, state != .invalid {
        answer.ctState += direction == .original ? "/o" : "/r"
      }
    }
    answer.emissions = emissions(leaving) + leaving.delivered
    // A connection that clashes goes when it is to be confirmed: in IPv4, behind the probe.
    if outcome.hook == .input && outcome.reason == .clash && family == .ipv4 {
      answer.emissions.append(Emission(port: .host, bytes: packet.bytes.array))
    }
    answer.sort()
    answer.reason = "\(outcome.verdict.name)"
    if let hook = outcome.hook { answer.reason += " in \(hook.name)" }
    if let reason = outcome.trackingReason { answer.reason += ", conntrack: \(reason.text)" }
    answer.reason += ", \(outcome.reason)"
    return answer
  }

  private func emissions(_ leaving: Leaving) -> [Emission] {
    leaving.packets.map { interface, emission in
      var emission = emission
      emission.port = interface == lan ? .lan : interface == loopback ? .lo : .wan
      return emission
    }
  }

  /// What comes of time alone.
  mutating func pass(to time: Int64) -> Answer {
    var leaving = Leaving()
    var silent = SilentObserver()
    firewall.advance(to: time, to: &leaving, observer: &silent)
    var answer = Answer()
    answer.expired = firewall.tracker.takeEvents()
    answer.emissions = emissions(leaving)
    answer.sort()
    return answer
  }

  /// The table as it is at `time`.
  mutating func connections(at time: Int64) -> [Connection] {
    firewall.advance(to: time)
    return firewall.tracker.connections()
  }

  /// The router is another.
  mutating func change(to host: HostConfiguration, at time: Int64) -> Answer {
    var answer = Answer()
    firewall.advance(to: time)
    answer.expired = firewall.tracker.takeEvents()
    answer.reason =
      firewall.hostChanged(to: host, at: time) ? "the host changed" : "other interfaces"
    // In which order the entries go nobody says.
    answer.expired += firewall.tracker.takeEvents()
    return answer
  }

  /// What is expected at `time`.
  mutating func expectations(at time: Int64) -> [Expectation] {
    firewall.advance(to: time)
    return firewall.tracker.expectations()
  }

  /// Has a helper's NAT draw the port that the kernel's drew, where it has to draw: what packets say and
  /// how long they are depends on it.
  mutating func foreseePort(_ events: [ExpectationEvent]) {
    firewall.tracker.foreseenExpectationPort =
      events.first { $0.kind == .new }?.expectation.tuple.destinationPort
  }

  /// Has those give way whom the kernel chose, where Weir needs room too: which they are its hash tells,
  /// and that has a secret.
  mutating func foreseeVictims(_ events: [ConnectionEvent]) {
    firewall.tracker.foreseenVictims = events.filter { $0.kind == .destroy }.map {
      ConnectionTracker.ZonedTuple(
        $0.connection.original,
        zone: TrackingZone(id: $0.connection.zone, direction: $0.connection.zoneDirection))
    }
  }

  /// Has NAT choose what the kernel's chose for the connection it began, where the rules leave the choice.
  /// What it says nothing of may have gone because its choice was taken: then such a choice is looked for.
  mutating func foreseeBinding(_ sent: MadePacket, _ answer: Answer) {
    firewall.tracker.foreseenBinding = nil
    if let began = answer.events.first(where: { $0.kind == .new })?.connection {
      firewall.tracker.foreseenBinding = ForeseenBinding(
        original: began.original, reply: began.reply)
      return
    }
    guard answer.emissions.isEmpty, !ranges.isEmpty, let shape = PacketShape(sent.bytes) else {
      return
    }
    var clash: Tuple?
    for connection in firewall.tracker.connections() {
      for tuple in [connection.reply, connection.original]
      where tuple.protocolNumber == shape.protocolNumber
        && ranges.contains(where: { $0.gives(tuple) })
      {
        // Rather one whose other end is the packet's, too.
        let isNear = tuple.destination == shape.source || tuple.source == shape.destination
        if clash == nil || isNear { clash = tuple }
      }
    }
    firewall.tracker.foreseenBinding = clash.map { ForeseenBinding(original: nil, reply: $0) }
  }

  /// The counters of `conntrack -S`.
  var statistics: ConntrackStatistics { firewall.tracker.statistics }

  /// What else is remembered of the connection of a tuple.
  func details(_ connection: Connection) -> ProtocolDetails {
    firewall.tracker.protocolDetails(
      connection.original,
      zone: TrackingZone(id: connection.zone, direction: connection.zoneDirection))
  }

  /// Takes over a binding that the kernel chose.
  mutating func rebind(_ connection: Connection) -> Bool {
    firewall.tracker.rebind(
      connection.original, reply: connection.reply,
      status: connection.status.intersection([.sourceNAT, .destinationNAT]),
      zone: TrackingZone(id: connection.zone, direction: connection.zoneDirection))
  }

  /// The rules with their counters.
  func rules(_ family: AddressFamily) -> FamilyRules { firewall.countedRules()[family] }
}
