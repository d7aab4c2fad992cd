// NAT at a hook: the nat table's rules for a connection's first packet, the binding for every packet.

import Conntrack
import NAT
import Ruleset
import Wire

extension Firewall {
  /// The half of NAT that sits at this hook.
  @inline(__always)
  mutating func translate<Observer: FirewallObserver & ~Copyable>(
    _ kind: NATKind, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage, _ observer: inout Observer
  ) -> Step {
    // Without a nat table there is no NAT at all, not even for bindings made before.
    guard hasTable(.nat, passage.headers.family), !passage.tracking.connection.isNone else {
      return .on
    }
    return applyNAT(kind, chain, &packet, &passage, &observer)
  }

  private mutating func applyNAT<Observer: FirewallObserver & ~Copyable>(
    _ kind: NATKind, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage, _ observer: inout Observer
  ) -> Step {
    if passage.isICMPError { return translateError(kind, chain, &packet, &passage) }
    let connection = passage.tracking.connection
    let status = tracker.status(connection)
    let done = status.contains(kind == .source ? .sourceNATDone : .destinationNATDone)
    if !done && (passage.tracking.state == .new || passage.tracking.state == .related) {
      if case .stop = bind(kind, chain, &packet, &passage, &observer) { return .stop }
    } else if chain == .postrouting && passage.tracking.direction == .original,
      let bound = tracker.masqueradeInterface(connection),
      bound != Int(passage.context.outInterface.rawValue)
    {
      tracker.end(&passage.tracking)
      passage.outcome.reason = .masqueradeMoved
      return .stop
    }
    guard
      NATRewriter.rewrite(&packet, &passage.headers, tracker, passage.tracking, kind)
    else {
      passage.outcome.reason = .cannotTranslate
      return .stop
    }
    if passage.isReassembled { joinTranslatedHeader(passage, kind) }
    return afterTranslation(packet, &passage, chain)
  }

  private func translateError(
    _ kind: NATKind, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage
  ) -> Step {
    let destination = passage.headers.destination
    guard NATRewriter.rewriteError(&packet, &passage.headers, tracker, passage.tracking, kind)
    else {
      passage.outcome.reason = .cannotTranslate
      return .stop
    }
    passage.readTransport(packet.bytes)
    return reroute(ifNotTo: destination, chain, &passage)
  }

  private func afterTranslation(
    _ packet: borrowing PacketBuffer, _ passage: inout Passage, _ chain: BuiltInChain
  ) -> Step {
    let destination = passage.context.destination
    passage.readTransport(packet.bytes)
    showConnection(&passage)
    return reroute(ifNotTo: destination, chain, &passage)
  }

  /// The host's own packet to another destination goes another way. OUTPUT's later rules still see the
  /// old one.
  private func reroute(
    ifNotTo destination: IPAddress, _ chain: BuiltInChain, _ passage: inout Passage
  ) -> Step {
    guard chain == .output && destination != passage.headers.destination else { return .on }
    let route = outputRoute(passage)
    if let problem = host.refusesToSend(from: passage.headers.source, passage.headers.family, route)
    {
      passage.outcome.reason = .routing(problem)
      return .stop
    }
    passage.newRoute = route
    return .on
  }

  /// Asks the nat table about a connection's first packet and settles this half of its binding.
  private mutating func bind<Observer: FirewallObserver & ~Copyable>(
    _ kind: NATKind, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage, _ observer: inout Observer
  ) -> Step {
    let connection = passage.tracking.connection
    let verdict = evaluate(.nat, chain, &packet, &passage, &observer)
    var range: NATRange?
    switch verdict.kind {
    case .accept, .queue(_, bypass: true), .limitMSS: break
    case .drop, .reject, .queue:
      passage.outcome.reason = .rule(verdict.rule)
      passage.outcome.verdict = .drop
      return .stop
    case .sourceNAT(let number), .destinationNAT(let number):
      range = natRange(number, passage)
    case .masquerade(let number):
      // A packet without a source is the host's own search for one.
      guard passage.headers.source != .any || passage.headers.family == .ipv6 else { break }
      range = natRange(number, passage)
      guard let address = masqueradeAddress(passage) else {
        return lacksAddress(kind, &passage)
      }
      range?.options.insert(.mapAddresses)
      range?.minAddress = address
      range?.maxAddress = address
      tracker.setMasqueradeInterface(connection, Int(passage.context.outInterface.rawValue))
    case .redirect(let number):
      range = natRange(number, passage)
      guard let address = redirectAddress(passage, chain) else {
        return lacksAddress(kind, &passage)
      }
      range?.options.insert(.mapAddresses)
      range?.minAddress = address
      range?.maxAddress = address
    case .netmap(let number):
      let address = kind == .source ? passage.headers.source : passage.headers.destination
      range = natRange(number, passage).mapping(address, passage.headers.family)
    }
    tracker.bind(connection, kind, to: range)
    return .on
  }

  private func natRange(_ number: Int32, _ passage: borrowing Passage) -> NATRange {
    passage.headers.family == .ipv4
      ? ipv4Rules.ranges[Int(number)] : ipv6Rules.ranges[Int(number)]
  }

  /// No address to translate to. On a host whose addresses are known the kernel drops the packet;
  /// where nothing is known of them, it goes on as it is, and the outcome says so.
  private mutating func lacksAddress(_ kind: NATKind, _ passage: inout Passage) -> Step {
    guard !host.knowsAddresses(passage.headers.family) else {
      passage.outcome.reason = .noAddressForNAT
      return .stop
    }
    passage.outcome.lacksAddressForNAT = true
    tracker.bind(passage.tracking.connection, kind, to: nil)
    return .on
  }

  private func masqueradeAddress(_ passage: borrowing Passage) -> IPAddress? {
    guard let out = index(passage.context.outInterface) else { return nil }
    return host.sourceAddress(
      passage.headers.family, through: out,
      nextHop: passage.route.nextHop(to: passage.headers.destination),
      destination: passage.headers.destination)
  }

  /// REDIRECT's aim: the in interface's first address, in IPv6 the first that is good for as far as the
  /// packet's destination; for the host's own packets the loopback.
  private func redirectAddress(_ passage: borrowing Passage, _ chain: BuiltInChain) -> IPAddress? {
    let family = passage.headers.family
    if chain == .output {
      return family == .ipv4
        ? IPAddress(ipv4: 0x7f00_0001) : IPAddress(high: 0, low: 1)
    }
    guard let interface = index(passage.arrival.interface) else { return nil }
    // IPv6: one that reaches as far as the address it stands for; `::` as far as any.
    let destination = passage.headers.destination
    let scope = destination == .any ? nil : IPv6Scope(destination)
    return host.interfaces[interface].addresses.first {
      $0.family == family && !$0.isSecondary && !$0.isTentative
        && (family == .ipv4 || scope == nil
          || IPv6Scope($0.address) == scope
            && isIPv4Compatible($0.address) == isIPv4Compatible(destination))
    }?.address
  }

  /// `::192.0.2.1` (RFC 4291, 2.5.5.1), which stands for none but its like.
  private func isIPv4Compatible(_ address: IPAddress) -> Bool {
    address.high == 0 && address.low >> 32 == 0 && address.low > 1
  }
}
